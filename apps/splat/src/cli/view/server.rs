//! The server of `splat view`: a fixed set of files in memory, served on 127.0.0.1 only.
//!
//! A page of another site could let a name of its own resolve to 127.0.0.1 and then read the scene; therefore requests whose
//! Host is not this machine are refused. Nothing is read from disk here, and nothing can be uploaded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};
use tiny_http::{Header, Method, Request, Response, StatusCode};

use crate::cli::Hinted;

/// A browser opens up to six connections to one host.
const THREADS: usize = 6;

/// `blob:` and `data:` are the libraries' own workers and WebAssembly; their PLY reader compiles a function.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; \
    style-src 'self'; img-src 'self' data: blob:; connect-src 'self' data: blob:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The files of a page, by name.
#[derive(Debug, Default)]
pub(super) struct Site {
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl Site {
    /// Adds a file, whose type follows from its name.
    pub(super) fn add(&mut self, name: &str, bytes: impl Into<Cow<'static, [u8]>>) {
        self.files.insert(name.to_owned(), bytes.into());
    }
}

/// Status, type and content.
type Answer<'a> = (u16, &'static str, &'a [u8]);

const TEXT: &str = "text/plain; charset=utf-8";

/// The answer to a request; `port` is that of this server.
fn answer<'a>(site: &'a Site, port: u16, method: &Method, url: &str, host: Option<&str>) -> Answer<'a> {
    let ours = |host: &str| {
        let (name, its_port) = host.rsplit_once(':').unwrap_or((host, "80"));
        ["127.0.0.1", "localhost"].contains(&name) && its_port == port.to_string()
    };
    if !host.is_some_and(ours) {
        return (403, TEXT, b"this page is served to 127.0.0.1 only");
    }
    if !matches!(method, Method::Get | Method::Head) {
        return (405, TEXT, b"only GET and HEAD");
    }
    let path = url.split(['?', '#']).next().unwrap_or(url).trim_start_matches('/');
    let name = if path.is_empty() { "index.html" } else { path };
    match site.files.get_key_value(name) {
        Some((name, bytes)) => (200, mime(name), bytes),
        None => (404, TEXT, b"there is no such file"),
    }
}

fn mime(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "ply" => "application/octet-stream",
        _ => TEXT,
    }
}

/// An open port.
pub(super) struct Server {
    http: tiny_http::Server,
    port: u16,
}

impl Server {
    /// Opens `port` of 127.0.0.1; 0 chooses a free one.
    pub(super) fn open(port: u16) -> Result<Self> {
        let http = tiny_http::Server::http(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map_err(|e| {
            Hinted::error(
                format!("cannot listen on port {port} of 127.0.0.1: {e}"),
                "leave out --port to use a free one",
            )
        })?;
        let port = http.server_addr().to_ip().ok_or_else(|| anyhow!("127.0.0.1 has no port"))?.port();
        Ok(Self { http, port })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers requests until the process ends.
    pub(super) fn serve(&self, site: &Site) -> Result<()> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            // A browser that disconnects is not an error.
                            let _ = self.respond(site, self.http.recv()?);
                        }
                    })
                })
                .collect();
            let first = threads.into_iter().next().expect("there are threads");
            first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn respond(&self, site: &Site, request: Request) -> std::io::Result<()> {
        let host =
            request.headers().iter().find(|h| h.field.equiv("Host")).map(|h| h.value.as_str().to_owned());
        let (status, kind, bytes) = answer(site, self.port, request.method(), request.url(), host.as_deref());
        let headers = [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", POLICY),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("X-Content-Type-Options", "nosniff"),
        ];
        let headers =
            headers.map(|(name, value)| Header::from_bytes(name, value).expect("headers are ASCII"));
        let response =
            Response::new(StatusCode(status), headers.into(), Cursor::new(bytes), Some(bytes.len()), None);
        // With a length and not in chunks, so that the page notices a scene that was cut short.
        request.respond(response.with_chunked_threshold(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &Method, url: &str, host: Option<&str>) -> (u16, &'static str, Vec<u8>) {
        let mut site = Site::default();
        site.add("index.html", &b"page"[..]);
        site.add("viewer.js", b"script".to_vec());
        let (status, mime, bytes) = answer(&site, 4321, method, url, host);
        (status, mime, bytes.to_vec())
    }

    #[test]
    fn files_have_their_types() {
        let ours = Some("127.0.0.1:4321");
        assert_eq!(ask(&Method::Get, "/", ours), (200, "text/html; charset=utf-8", b"page".to_vec()));
        let script = ask(&Method::Head, "/viewer.js?again", Some("localhost:4321"));
        assert_eq!(script, (200, "text/javascript; charset=utf-8", b"script".to_vec()));
        for url in ["/../index.html", "/absent", "//etc/passwd", "/index.html/"] {
            assert_eq!(ask(&Method::Get, url, ours).0, 404, "{url}");
        }
        assert_eq!(ask(&Method::Post, "/", ours).0, 405);
    }

    #[test]
    fn other_hosts_are_refused() {
        for host in [None, Some("evil.example:4321"), Some("127.0.0.1:80"), Some("127.0.0.1"), Some("")] {
            assert_eq!(ask(&Method::Get, "/", host).0, 403, "{host:?}");
        }
    }
}
