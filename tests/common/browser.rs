//! A headless Chromium, driven through two pipes (`--remote-debugging-pipe`): what a page does is seen in a real browser.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program; where it is not there, the test is skipped, or fails if `MLPGRID_REQUIRE_BROWSER` is set.
pub fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    let program = found.into_iter().find(|path| path.is_file());
    if program.is_none() {
        let reason = "there is no chromium to open pages with";
        assert!(std::env::var_os("MLPGRID_REQUIRE_BROWSER").is_none(), "{reason}, and MLPGRID_REQUIRE_BROWSER is set");
        super::skipped(reason);
    }
    program
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: String,
    sent: u64,
    /// Errors and warnings of the page, and requests that are none of a file's own.
    pub complaints: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// Starts it.
    pub fn start(program: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().expect("there is `mkfifo`").success());
            path
        };
        let (orders, answers) = (pipe("orders"), pipe("answers"));
        let child = Command::new("sh")
            .args(["-c", "orders=$1 answers=$2; shift 2; exec \"$@\" 3<\"$orders\" 4>\"$answers\"", "sh"])
            .args([&orders, &answers])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-extensions", "--window-size=1280,900"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let to = File::options().write(true).open(&orders).expect("a pipe");
        let read = File::open(&answers).expect("a pipe");
        let (sender, from) = channel();
        thread::spawn(move || {
            for message in BufReader::new(read).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { child, to, from, session: String::new(), sent: 0, complaints: vec![], _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session =
            browser.call("Target.attachToTarget", attach)["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
        browser.call("Browser.grantPermissions", permissions);
        browser
    }

    /// Sends a command, and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut order = json!({ "id": self.sent, "method": method, "params": parameters });
        if !self.session.is_empty() && !method.starts_with("Browser.") {
            order["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{order}\0").as_bytes()).expect("the browser lives");
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.from.recv_timeout(left).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == json!(self.sent) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.listen(&message);
        }
    }

    /// Takes note of what a page should not do.
    fn listen(&mut self, message: &Value) {
        let it = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(format!("exception: {}", it["exceptionDetails"])),
            "Runtime.consoleAPICalled" if it["type"] != "log" => {
                self.complaints.push(format!("console: {}", it["args"]))
            }
            "Log.entryAdded" => self.complaints.push(format!("log: {}", it["entry"]["text"])),
            "Network.requestWillBeSent" => {
                let url = it["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("file:") && !url.starts_with("data:") && !url.starts_with("about:") {
                    self.complaints.push(format!("request: {url}"));
                }
            }
            _ => {}
        }
    }

    /// Opens a file, with what follows in the address, and waits until its script is ready.
    pub fn open(&mut self, path: &Path, more: &str) {
        let name: String = path
            .to_str()
            .expect("UTF-8")
            .bytes()
            .map(|byte| match byte {
                b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": format!("file://{name}{more}") }));
        self.wait("document.documentElement?.dataset.ready === 'true'");
        self.settle();
    }

    /// Waits until an expression holds.
    pub fn wait(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < until, "waited for {expression}; the page complained: {:?}", self.complaints);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until what was asked of the page is drawn.
    pub fn settle(&mut self) {
        self.value("new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done(1))), 200))");
    }

    /// The value of an expression, a promise's once it is kept.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds.
    pub fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({}).textContent", json!(selector));
        self.value(&expression).as_str().expect("a text").to_owned()
    }

    /// The texts of all elements that a selector finds.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let expression = format!("[...document.querySelectorAll({})].map((it) => it.textContent)", json!(selector));
        serde_json::from_value(self.value(&expression)).expect("texts")
    }

    /// Clicks on it.
    pub fn click(&mut self, selector: &str) {
        self.value(&format!(
            "document.querySelector({}).dispatchEvent(new MouseEvent('click', {{bubbles: true}}))",
            json!(selector)
        ));
        self.settle();
    }

    /// Writes into an input, or chooses an option, as a person would.
    pub fn enter(&mut self, selector: &str, text: &str) {
        self.value(&format!(
            "(() => {{ const it = document.querySelector({}); it.value = {}; for (const kind of ['input', 'change']) \
             it.dispatchEvent(new Event(kind, {{bubbles: true}})); }})()",
            json!(selector),
            json!(text)
        ));
        self.settle();
    }

    /// Presses the mouse at one place of an element, moves it to another and lets go; places are shares of its width and height.
    pub fn drag(&mut self, selector: &str, from: (f64, f64), to: (f64, f64)) {
        self.value(&format!("document.querySelector({}).scrollIntoView({{block: 'center'}})", json!(selector)));
        self.settle();
        let place = self.value(&format!(
            "(() => {{ const it = document.querySelector({}).getBoundingClientRect(); return [it.left, it.top, it.width, it.height]; }})()",
            json!(selector)
        ));
        let number = |at: usize| place[at].as_f64().expect("a number");
        let point = |(x, y): (f64, f64)| (number(0) + x * number(2), number(1) + y * number(3));
        for (kind, (x, y)) in [
            ("mouseMoved", point(from)),
            ("mousePressed", point(from)),
            ("mouseMoved", point(to)),
            ("mouseReleased", point(to)),
        ] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
        self.settle();
    }

    /// Pretends to be a screen of this size, or takes the window's again.
    pub fn screen(&mut self, size: Option<(u32, u32)>) {
        match size {
            Some((width, height)) => {
                let metrics =
                    json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
                self.call("Emulation.setDeviceMetricsOverride", metrics)
            }
            None => self.call("Emulation.clearDeviceMetricsOverride", json!({})),
        };
        self.settle();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
