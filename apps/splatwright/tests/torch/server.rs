//! A package index on this machine. To pip it gives everything; to the program's own downloads it gives pieces and
//! then cuts the connection, and it honours `Range`.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

pub(crate) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    piece: usize,
    /// Where each download of the program began.
    ranges: Mutex<Vec<usize>>,
    /// After so many, downloads get nothing.
    limit: AtomicUsize,
}

impl Server {
    /// Serves the wheels of a folder; a download gets `piece` bytes at a time.
    pub(crate) fn start(folder: &Path, piece: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            piece,
            ranges: Mutex::default(),
            limit: AtomicUsize::new(usize::MAX),
        });
        let here = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&here);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn index(&self) -> String {
        format!("http://127.0.0.1:{}/simple", self.port)
    }

    pub(crate) fn ranges(&self) -> Vec<usize> {
        self.shared.ranges.lock().unwrap().clone()
    }

    pub(crate) fn stop_after(&self, downloads: usize) {
        self.shared.limit.store(downloads, Ordering::SeqCst);
    }
}

fn answer(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let (mut start, mut ours) = (None, false);
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse::<usize>().ok();
        }
        ours |= line == "user-agent: splatwright";
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    if path.starts_with("/simple/") {
        let files = std::fs::read_dir(&shared.folder).ok()?.flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let links: String = names
            .filter(|file| file.starts_with(&format!("{name}-")))
            .map(|file| {
                let hash = crate::fixture::sha256(&shared.folder.join(&file));
                format!("<a href=\"/files/{file}#sha256={hash}\">{file}</a>\n")
            })
            .collect();
        return send(stream, "200 OK", "text/html", links.as_bytes(), links.len(), "");
    }
    let bytes = std::fs::read(shared.folder.join(name)).ok()?;
    if method == "HEAD" || !ours {
        let body: &[u8] = if method == "HEAD" { &[] } else { &bytes };
        return send(stream, "200 OK", "application/zip", body, bytes.len(), "");
    }
    let begin = start.unwrap_or(0);
    let count = {
        let mut ranges = shared.ranges.lock().ok()?;
        ranges.push(begin);
        ranges.len()
    };
    if count > shared.limit.load(Ordering::SeqCst) {
        return None; // the connection closes without a word
    }
    let end = (begin + shared.piece).min(bytes.len());
    let status = if start.is_some() { "206 Partial Content" } else { "200 OK" };
    let range = format!("Content-Range: bytes {begin}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    send(stream, status, "application/zip", &bytes[begin..end], bytes.len() - begin, &range)
}

/// Promises `length` bytes and sends the body, which may be less.
fn send(
    mut stream: TcpStream,
    status: &str,
    kind: &str,
    body: &[u8],
    length: usize,
    more: &str,
) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
