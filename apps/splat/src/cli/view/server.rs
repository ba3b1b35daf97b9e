//! The server of `splat view` and `splat train --view`, on 127.0.0.1 only.
//!
//! Nothing is read from disk here, nothing can be uploaded, and no client can keep others out: headers have a size and a
//! time, and the oldest of too many connections is closed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;

use super::site::{From, Site, answer};
use crate::cli::Hinted;

/// Connections at a time; a browser opens up to six.
const CONNECTIONS: usize = 64;
/// The time in which a request must arrive.
const REQUEST: Duration = Duration::from_secs(10);
/// The largest size of a request's headers in bytes.
const HEADERS: usize = 16 << 10;

/// `blob:` and `data:` are the libraries' own workers and WebAssembly; their PLY reader compiles a function.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; \
    style-src 'self'; img-src 'self' data: blob:; connect-src 'self' data: blob:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// An answer with its headers. The length is stated, so that the page notices a scene that was cut short.
fn response(site: &Site, port: u16, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let from = From { host: text(header::HOST), origin: text(header::ORIGIN) };
    let (status, kind, bytes) = answer(site, port, request.method(), request.uri().path(), from);
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        // Whatever it wants to send, nobody reads it.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An open port.
pub(super) struct Server {
    listener: TcpListener,
    port: u16,
}

impl Server {
    /// Opens `port` of 127.0.0.1; 0 chooses a free one.
    pub(super) fn open(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| {
            let message = format!("cannot listen on port {port} of 127.0.0.1: {e}");
            if port == 0 { e.into() } else { Hinted::error(message, "leave out --port to use a free one") }
        })?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers requests until the process ends.
    pub(super) fn serve(self, site: Arc<Site>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.accept(site)).context("the server stopped")
    }

    async fn accept(self, site: Arc<Site>) -> std::io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // Such as too many open files, or a client that is gone already: others may still come.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            open.retain(|connection| !connection.is_finished());
            while open.len() >= CONNECTIONS {
                open.pop_front().inspect(AbortHandle::abort);
            }
            let (site, port) = (Arc::clone(&site), self.port);
            let service = service_fn(move |request| {
                let answer = response(&site, port, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST)
                .max_buf_size(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            // A browser that disconnects is not an error.
            let task = tokio::spawn(async move { drop(connection.await) });
            open.push_back(task.abort_handle());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;

    use super::super::site::tests::site;
    use super::*;

    /// A server in a thread, until the test's process ends.
    fn started() -> u16 {
        let server = Server::open(0).unwrap();
        let port = server.port;
        std::thread::spawn(move || server.serve(Arc::new(site())));
        port
    }

    fn sent(port: u16, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn page(port: u16) -> String {
        let request = format!("GET /?again HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        sent(port, &request).read_to_string(&mut text).unwrap();
        text
    }

    /// Requests that ended the program or its listener once: bodies that never come, hundreds of idle connections, clients
    /// that never read, headers without end.
    #[test]
    fn no_client_keeps_others_out() {
        let port = started();
        assert!(page(port).ends_with("\r\n\r\npage"), "{}", page(port));
        for host in [format!("127.0.0.1:{port}"), "evil.example".into()] {
            let request = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 999999999999\r\n\r\n");
            let mut text = String::new();
            sent(port, &request).read_to_string(&mut text).unwrap();
            assert!(text.starts_with("HTTP/1.1 40"), "{text}");
        }
        let scene = format!("GET /scene.ply HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let deaf: Vec<_> = (0..20).map(|_| sent(port, &scene)).collect();
        assert!(page(port).ends_with("page"));
        let idle: Vec<_> = (0..600).map(|_| sent(port, "")).collect();
        assert!(page(port).ends_with("page"));
        let mut endless = sent(port, "GET / HTTP/1.1\r\n");
        let line = format!("X: {}\r\n", "x".repeat(1000));
        // The server closes it long before 64 MB, which no socket buffers.
        endless.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        let refused = (0..64_000).find_map(|_| endless.write_all(line.as_bytes()).err()).expect("a limit");
        assert!(matches!(refused.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{refused}");
        assert!(page(port).ends_with("page"));
        drop((deaf, idle));
        let mut whole = Vec::new();
        sent(port, &scene.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .read_to_end(&mut whole)
            .unwrap();
        assert!(whole.len() > 30 << 20, "a large file arrives whole: {}", whole.len());
    }
}
