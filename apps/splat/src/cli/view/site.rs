//! The files of a page in memory, who may ask for them, and the few orders that the page may give.
//!
//! A page of another site could let a name of its own resolve to 127.0.0.1 and then read the scene; therefore requests whose
//! Host is not this machine are refused. It could also make a browser send an order here; therefore orders must come from
//! our own page (its Origin). Opens no port.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::body::Bytes;
use hyper::{Method, StatusCode};

/// What an order of the page does; false if there is no such order.
pub(super) type Orders = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// The files of a page, by name, and what the page may order. Files can be replaced while they are served.
#[derive(Default)]
pub(super) struct Site {
    files: Mutex<BTreeMap<String, Bytes>>,
    asked: Mutex<BTreeMap<String, Instant>>,
    orders: Option<Orders>,
}

impl Site {
    /// A page whose orders (`POST /order/NAME`) go to `orders`.
    pub(super) fn with_orders(orders: Orders) -> Self {
        Self { orders: Some(orders), ..Self::default() }
    }

    /// Adds or replaces a file, whose type follows from its name.
    pub(super) fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        lock(&self.files).insert(name.to_owned(), bytes.into());
    }

    /// When the file was last asked for.
    pub(super) fn asked(&self, name: &str) -> Option<Instant> {
        lock(&self.asked).get(name).copied()
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        let bytes = lock(&self.files).get(name).cloned()?;
        lock(&self.asked).insert(name.to_owned(), Instant::now());
        Some(bytes)
    }
}

/// Nothing here panics while it holds a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Status, type and content.
pub(super) type Answer = (StatusCode, &'static str, Bytes);

const TEXT: &str = "text/plain; charset=utf-8";

/// The headers that say who asks.
#[derive(Clone, Copy, Default)]
pub(super) struct From<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
}

/// The answer to a request; `port` is that of this server.
pub(super) fn answer(site: &Site, port: u16, method: &Method, path: &str, from: From<'_>) -> Answer {
    let refused = |status, text: &'static str| (status, TEXT, Bytes::from_static(text.as_bytes()));
    let ours = |host: &str| {
        let (name, its_port) = host.rsplit_once(':').unwrap_or((host, "80"));
        ["127.0.0.1", "localhost"].contains(&name) && its_port == port.to_string()
    };
    if !from.host.is_some_and(ours) {
        return refused(StatusCode::FORBIDDEN, "this page is served to 127.0.0.1 only");
    }
    let path = path.trim_start_matches('/');
    if let (Some(orders), &Method::POST, Some(order)) = (&site.orders, method, path.strip_prefix("order/")) {
        // Any page can make a browser send this; only ours has this origin.
        if !from.origin.and_then(|origin| origin.strip_prefix("http://")).is_some_and(ours) {
            return refused(StatusCode::FORBIDDEN, "orders are taken from this server's own page only");
        }
        return match orders(order) {
            true => (StatusCode::OK, TEXT, Bytes::new()),
            false => refused(StatusCode::NOT_FOUND, "there is no such order"),
        };
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    let name = if path.is_empty() { "index.html" } else { path };
    match site.get(name) {
        Some(bytes) => (StatusCode::OK, mime(name), bytes),
        None => refused(StatusCode::NOT_FOUND, "there is no such file"),
    }
}

fn mime(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "ply" | "splat" => "application/octet-stream",
        "jpg" => "image/jpeg",
        "svg" => "image/svg+xml",
        _ => TEXT,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn site() -> Site {
        let site = Site::with_orders(Box::new(|order| order == "pause"));
        site.put("index.html", &b"page"[..]);
        site.put("viewer.js", b"script".to_vec());
        site.put("scene.ply", vec![7; 30 << 20]);
        site
    }

    fn ask(method: &Method, url: &str, host: Option<&str>) -> (u16, &'static str, Vec<u8>) {
        let (status, mime, bytes) = answer(&site(), 4321, method, url, From { host, origin: None });
        (status.as_u16(), mime, bytes.to_vec())
    }

    #[test]
    fn files_have_their_types() {
        let ours = Some("127.0.0.1:4321");
        assert_eq!(ask(&Method::GET, "/", ours), (200, "text/html; charset=utf-8", b"page".to_vec()));
        let script = ask(&Method::HEAD, "/viewer.js", Some("localhost:4321"));
        assert_eq!(script, (200, "text/javascript; charset=utf-8", b"script".to_vec()));
        for url in ["/../index.html", "/absent", "//etc/passwd", "/index.html/"] {
            assert_eq!(ask(&Method::GET, url, ours).0, 404, "{url}");
        }
        assert_eq!(ask(&Method::POST, "/", ours).0, 405);
    }

    #[test]
    fn other_hosts_are_refused() {
        for host in [None, Some("evil.example:4321"), Some("127.0.0.1:80"), Some("127.0.0.1"), Some("")] {
            assert_eq!(ask(&Method::GET, "/", host).0, 403, "{host:?}");
        }
    }

    /// Another site's page can send a POST to this machine, but the browser then states that page's origin.
    #[test]
    fn orders_come_from_our_own_page_alone() {
        let order = |site: &Site, name: &str, origin| {
            let from = From { host: Some("127.0.0.1:4321"), origin };
            answer(site, 4321, &Method::POST, name, from).0.as_u16()
        };
        let ours = Some("http://127.0.0.1:4321");
        assert_eq!(order(&site(), "/order/pause", ours), 200);
        assert_eq!(order(&site(), "/order/dance", ours), 404);
        for origin in [None, Some("null"), Some("http://evil.example"), Some("http://127.0.0.1:80")] {
            assert_eq!(order(&site(), "/order/pause", origin), 403, "{origin:?}");
        }
        assert_eq!(order(&Site::default(), "/order/pause", ours), 405, "a page without orders");
    }

    #[test]
    fn files_are_replaced_and_requests_noted() {
        let site = site();
        assert!(site.asked("viewer.js").is_none());
        site.put("viewer.js", &b"newer"[..]);
        let from = From { host: Some("localhost:4321"), origin: None };
        assert_eq!(answer(&site, 4321, &Method::GET, "/viewer.js", from).2, &b"newer"[..]);
        assert!(site.asked("viewer.js").is_some() && site.asked("index.html").is_none());
    }
}
