//! Chromium without a window, driven by its debugging protocol over a WebSocket: what a
//! page is to a browser.

use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tungstenite::Message;
use tungstenite::WebSocket;

/// Turns a hang into a failure. No test that passes waits so long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A browser with one page. The drop ends it.
pub(crate) struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    /// What the browser has told since the last [`open`](Self::open).
    events: Vec<Value>,
    _profile: TempDir,
}

const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

impl Browser {
    /// `None` if there is no Chromium, which is said.
    pub(crate) fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let started = PROGRAMS.iter().find_map(|program| {
            let mut command = Command::new(program);
            command
                .args(["--headless", "--disable-gpu", "--remote-debugging-port=0"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            // As root, Chromium starts in no sandbox of its own.
            if rustix::process::geteuid().is_root() {
                command.arg("--no-sandbox");
            }
            command.spawn().ok()
        });
        let Some(mut process) = started else {
            println!("skipped: none of {PROGRAMS:?} is installed");
            return None;
        };
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines.map_while(Result::ok).find_map(|line| {
            let (_, url) = line.split_once("DevTools listening on ")?;
            Some(url.to_owned())
        });
        let url = url.expect("Chromium says where it listens");
        let authority = url.strip_prefix("ws://").unwrap().split('/').next();
        let stream = TcpStream::connect(authority.unwrap()).unwrap();
        stream.set_read_timeout(Some(TOO_LONG)).unwrap();
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut browser = Self {
            process,
            socket,
            session: String::new(),
            calls: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        for domain in ["Page", "Log", "Runtime", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol, and returns its result.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let mut message = self.receive();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().expect("Chromium answers") {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": url }));
        while !self.has_event("Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
    }

    fn has_event(&self, method: &str) -> bool {
        self.events.iter().any(|event| event["method"] == method)
    }

    /// What the page or the browser has written to the console since the page was opened:
    /// a script that was refused, a style that does not match the policy.
    pub(crate) fn console(&self) -> Vec<&Value> {
        let written = [
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ];
        let events = self.events.iter();
        events
            .filter(|event| written.iter().any(|method| event["method"] == *method))
            .collect()
    }

    /// The value of an expression in the page. The page's policy does not apply to it.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression in the page is true.
    #[allow(dead_code, reason = "not every test binary has a page that changes")]
    pub(crate) fn wait_for(&mut self, condition: &str) {
        let expression = format!(
            "new Promise(done => {{
                const look = () => {{ if ({condition}) {{ observer.disconnect(); done(true); }} }};
                const observer = new MutationObserver(look);
                observer.observe(document, {{
                    subtree: true, childList: true, attributes: true, characterData: true,
                }});
                look();
            }})"
        );
        let parameters = json!({ "expression": expression, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{result}");
    }

    /// Presses a key, such as `Tab` or `Enter`, and lets it go.
    #[allow(dead_code, reason = "not every test binary has a page with buttons")]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            _ => panic!("no code for {key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                "text": if kind == "keyDown" { text } else { "" },
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types text into the element that has the focus.
    #[allow(dead_code, reason = "not every test binary has a page with fields")]
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// How many elements of this role a screen reader finds.
    pub(crate) fn count(&mut self, role: &str) -> usize {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().unwrap();
        let nodes = nodes.iter().filter(|node| node["ignored"] == false);
        nodes.filter(|node| node["role"]["value"] == role).count()
    }

    /// Gives the page the width of a screen, and one of the schemes `light` and `dark`.
    pub(crate) fn resize(&mut self, width: u32, scheme: &str) {
        let screen = json!({
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end when they lose it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
