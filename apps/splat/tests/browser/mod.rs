//! Headless Chromium over its DevTools protocol: opens a page, draws with software WebGL, moves the mouse, and
//! takes pictures. One browser a test, with a profile of its own that goes with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::RgbaImage;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Software WebGL on a busy machine needs seconds a picture.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Browser {
    child: Child,
    profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `$CHROMIUM`, or the first of the usual names on PATH.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

impl Browser {
    /// Starts one; None, and a `skipped:` line, where there is none.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["--use-angle=swiftshader", "--enable-unsafe-swiftshader"])
    }

    /// One that has no WebGL.
    pub(crate) fn start_without_webgl() -> Option<Self> {
        Self::start_with(&["--disable-3d-apis", "--disable-gpu"])
    }

    fn start_with(graphics: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no chromium");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--mute-audio"])
            .args(graphics)
            .arg("--disable-dev-shm-usage")
            .args(["--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, profile })
    }

    /// A tab of this size on `url`.
    pub(crate) fn open(&mut self, url: &str, width: u32, height: u32) -> Tab {
        let file = self.profile.path().join("DevToolsActivePort");
        let start = Instant::now();
        let (port, path) = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.trim().split_once('\n') {
                break (port.to_owned(), path.to_owned());
            }
            assert!(start.elapsed() < PATIENCE, "the browser opened no port");
            assert!(self.child.try_wait().unwrap().is_none(), "the browser ended");
            std::thread::sleep(Duration::from_millis(50));
        };
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let mut tab = Tab { socket, session: None, last: 0, requests: Vec::new() };
        let target = tab.call("Target.createTarget", json!({ "url": "about:blank" }));
        let id = &target["targetId"];
        let attached = tab.call("Target.attachToTarget", json!({ "targetId": id, "flatten": true }));
        tab.session = attached["sessionId"].as_str().map(str::to_owned);
        tab.call("Network.enable", json!({}));
        tab.call("Page.enable", json!({}));
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", size);
        tab.call("Page.navigate", json!({ "url": url }));
        tab
    }
}

pub(crate) struct Tab {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    last: u64,
    requests: Vec<String>,
}

impl Tab {
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["method"] == "Network.requestWillBeSent" {
                self.requests.extend(answer["params"]["request"]["url"].as_str().map(str::to_owned));
            }
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The value of a JavaScript expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let mut result =
            self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits for an expression to become true.
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(expression) != true {
            assert!(start.elapsed() < PATIENCE, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn picture(&mut self) -> RgbaImage {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let text = answer["data"].as_str().unwrap();
        let png = STANDARD.decode(text).unwrap();
        image::load_from_memory(&png).unwrap().to_rgba8()
    }

    /// The first picture of which `good` is true, and that stays the same: splats are sorted in the background.
    pub(crate) fn picture_when(&mut self, good: impl Fn(&RgbaImage) -> bool) -> RgbaImage {
        let start = Instant::now();
        let mut before = self.picture();
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let now = self.picture();
            if now == before && good(&now) {
                return now;
            }
            if start.elapsed() > PATIENCE {
                let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("view-failed.png");
                now.save(&kept).unwrap();
                panic!("the picture never became what it should be: {}", kept.display());
            }
            before = now;
        }
    }

    /// Where the last picture was taken, world coordinates.
    pub(crate) fn eye(&mut self) -> Vec<f64> {
        let text = self.evaluate("document.documentElement.dataset.eye");
        text.as_str().unwrap().split(' ').map(|x| x.parse().unwrap()).collect()
    }

    /// Becomes a phone of this size: narrow, and with fingers instead of a mouse.
    pub(crate) fn become_phone(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": true, "maxTouchPoints": 2 }));
        self.call("Page.reload", json!({}));
    }

    fn mouse(&mut self, kind: &str, at: [u32; 2], more: Value) {
        let mut event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Drags with the left button, in steps as a hand does.
    pub(crate) fn drag(&mut self, from: [u32; 2], to: [u32; 2]) {
        self.mouse("mousePressed", from, json!({ "buttons": 1 }));
        for step in 1..=4 {
            let at = std::array::from_fn(|k| (from[k] * (4 - step) + to[k] * step) / 4);
            self.mouse("mouseMoved", at, json!({ "buttons": 1 }));
        }
        self.mouse("mouseReleased", to, json!({}));
    }

    /// Turns the wheel; a negative `by` is away from the hand.
    pub(crate) fn wheel(&mut self, at: [u32; 2], by: i32) {
        self.mouse("mouseWheel", at, json!({ "button": "none", "deltaX": 0, "deltaY": by }));
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": key, "text": key }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }

    /// Every address that the page asked for so far.
    pub(crate) fn requests(&self) -> &[String] {
        &self.requests
    }
}
