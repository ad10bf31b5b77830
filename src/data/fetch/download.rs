//! The network's half of a fetch: attempts until all bytes of an archive are in its part file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::http::{HeaderMap, StatusCode, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Archive, Progress};
use crate::data::sets::contents::hex;
use crate::error::{Complaint, Error, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 17;

/// How long a server is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes, once there is a connection.
    pub stall: Duration,
    /// Before each new attempt, once the server has answered; an attempt that brought new bytes lets them count anew.
    pub pauses: Vec<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            pauses: [1, 2, 4].map(Duration::from_secs).to_vec(),
        }
    }
}

/// What has come of the archive so far. A part that is empty or known to be wrong leaves no file behind.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) path: PathBuf,
    bytes: u64,
}

impl Part {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let open = || -> io::Result<(File, u64)> {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            let bytes = file.seek(io::SeekFrom::End(0))?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(Error::io("open it", &path))?;
        Ok(Self { file, path, bytes })
    }

    fn start_over(&mut self) -> Result<()> {
        self.bytes = 0;
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(Error::io("empty it", &self.path))
    }

    fn append(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.write_all(chunk).map_err(Error::io("write it", &self.path))?;
        self.bytes += chunk.len() as u64;
        Ok(())
    }

    /// Compares the MD5 with the expected one, and discards the part where they differ.
    pub(super) fn check(&mut self, expected: &str) -> Result<()> {
        let found = md5(&self.file).map_err(Error::io("read it", &self.path))?;
        if found == expected {
            return Ok(());
        }
        self.discard();
        let remedy = "the file is removed: run the same command again; if that fails too, a login page of the network or \
                      a mirror with other contents is answering, so give another mirror with --url";
        Err(Error::content(&self.path, format!("MD5 {expected}"), format!("MD5 {found}"), remedy))
    }

    /// Lets the file be removed at the end.
    pub(super) fn discard(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.bytes == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The MD5 of a file, in lower-case hexadecimal digits.
pub(super) fn md5(mut file: &File) -> io::Result<String> {
    let (mut hash, mut chunk) = (Md5::new(), vec![0; CHUNK]);
    file.rewind()?;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&chunk[..count]),
        }
    }
}

/// How an attempt failed.
enum Failure {
    /// Another attempt would fail too.
    Final(Error),
    /// There was no answer at all.
    Silence(String),
    /// There was an answer, and another attempt may bring the rest.
    Passing(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Where the archive comes from.
pub(super) struct Client<'a> {
    archive: &'a Archive,
    patience: &'a Patience,
    agent: ureq::Agent,
}

impl<'a> Client<'a> {
    /// A client for the archive's address, if that is one of http or https.
    pub(super) fn new(archive: &'a Archive, patience: &'a Patience) -> Result<Self> {
        let host = archive.url.parse::<Uri>().ok().and_then(|uri| match uri.scheme_str() {
            Some("http" | "https") => uri.host().filter(|host| !host.is_empty()).map(str::to_owned),
            _ => None,
        });
        let host = host.ok_or_else(|| {
            let expected = "an address that begins with http:// or https://, or the path of the archive";
            let found = format!("`{}`", archive.url.escape_debug());
            Error::usage("--url", expected, found, "give the whole address of the archive on a mirror")
        })?;
        Ok(Self { archive, patience, agent: agent(patience, &host) })
    }

    /// Attempts until all bytes are here. A server that has not answered once is more likely out of reach than busy, and
    /// is not asked again.
    pub(super) fn download(&self, part: &mut Part, report: &mut dyn FnMut(Progress)) -> Result<()> {
        if part.bytes > self.archive.bytes {
            part.start_over()?;
        }
        let (mut most, mut has_answered, mut pauses) = (part.bytes, false, self.patience.pauses.iter());
        while part.bytes < self.archive.bytes {
            let trouble = match self.attempt(part, report) {
                Ok(()) => break,
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Silence(trouble)) => trouble,
                Err(Failure::Passing(trouble)) => {
                    has_answered = true;
                    trouble
                }
            };
            if part.bytes > most {
                (most, pauses) = (part.bytes, self.patience.pauses.iter());
            }
            match pauses.next() {
                Some(&pause) if has_answered => {
                    report(Progress::Retrying(trouble, pause));
                    thread::sleep(pause);
                }
                _ => return Err(self.given_up(part, &trouble)),
            }
        }
        Ok(())
    }

    /// Asks once for what is missing, and takes what comes.
    fn attempt(&self, part: &mut Part, report: &mut dyn FnMut(Progress)) -> std::result::Result<(), Failure> {
        let mut request = self.agent.get(&self.archive.url);
        if part.bytes > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", part.bytes));
        }
        let response = request.call().map_err(|error| Failure::Silence(describe(error)))?;
        self.position(part, response.status(), response.headers())?;
        report(Progress::Receiving(part.bytes));
        let mut body = response.into_body().into_reader().take(self.archive.bytes - part.bytes);
        let mut chunk = vec![0; CHUNK];
        while part.bytes < self.archive.bytes {
            match body.read(&mut chunk) {
                Ok(0) => return Err(Failure::Passing("the connection ended".to_owned())),
                Ok(count) => part.append(&chunk[..count])?,
                Err(error) => return Err(Failure::Passing(describe(error.into()))),
            }
            report(Progress::Received(part.bytes));
        }
        Ok(())
    }

    /// Decides by the head of an answer whether its body continues the part, or begins it anew.
    fn position(&self, part: &mut Part, status: StatusCode, headers: &HeaderMap) -> std::result::Result<(), Failure> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let anew = |part: &mut Part, trouble: &str| {
            part.start_over()?;
            Err(Failure::Passing(format!("{trouble}, so it is asked for the whole archive")))
        };
        match status {
            StatusCode::OK => {
                let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
                if text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) {
                    return Err(self.other_contents("a web page").into());
                }
                if let Some(length) = length.filter(|&length| length != self.archive.bytes) {
                    return Err(self.other_contents(format!("{length} bytes")).into());
                }
                Ok(part.start_over()?) // a server may ignore the range
            }
            StatusCode::PARTIAL_CONTENT => match text(header::CONTENT_RANGE).and_then(content_range) {
                Some((_, Some(total))) if total != self.archive.bytes => {
                    Err(self.other_contents(format!("{total} bytes")).into())
                }
                Some((start, _)) if start == part.bytes => Ok(()),
                _ => anew(part, "the server sent another range than it was asked for"),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => anew(part, "the server cannot continue there"),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Passing(format!("HTTP {status}")))
            }
            _ if status.is_server_error() => Err(Failure::Passing(format!("HTTP {status}"))),
            _ => {
                let remedy = "check the address, or give a mirror with --url";
                Err(self.complaint(format!("HTTP {status}"), remedy).into())
            }
        }
    }

    fn other_contents(&self, found: impl Into<String>) -> Error {
        let remedy = "a login page of the network or a mirror with other contents may be answering: open the address in \
                      a browser, or give another mirror with --url";
        self.complaint(found, remedy)
    }

    fn given_up(&self, part: &Part, trouble: &str) -> Error {
        if part.bytes == 0 {
            let remedy = "check the network and its settings (HTTPS_PROXY, SSL_CERT_FILE), or give a mirror with --url";
            return self.complaint(trouble, remedy);
        }
        let remedy = "run the same command again: it continues there; or give a mirror with --url";
        self.complaint(format!("{trouble} after {} bytes", part.bytes), remedy)
    }

    fn complaint(&self, found: impl Into<String>, remedy: &str) -> Error {
        let expected = format!("an archive of {} bytes", self.archive.bytes);
        Error::Network(Complaint::new(&self.archive.url, expected, found, remedy))
    }
}

/// An HTTP client that does not wait for ever, trusts whom the system trusts, and goes through the proxy that the
/// environment names, except to this machine itself.
fn agent(patience: &Patience, host: &str) -> ureq::Agent {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let roots = match certificates.is_empty() {
        true => RootCerts::WebPki, // a bare container has none
        false => certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).into(),
    };
    let bare = host.trim_matches(['[', ']']);
    let is_local = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("mlpgrid/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .timeout_per_write(Some(patience.stall));
    if is_local { config.proxy(None).build() } else { config.build() }.into()
}

/// First byte and, where the server sends it, the total of `bytes FIRST-LAST/TOTAL`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// What broke a connection, without the names of a library's types.
fn describe(error: ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the connection ended".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_its_first_byte_and_its_total() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for other in ["", "bytes */10", "bytes 5-9", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(content_range(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_content_range_or_none(text in "(bytes )?[0-9 ]{0,22}-?[0-9]{0,4}/?(\\PC{0,6}|[0-9]{0,22})") {
            if let Some((first, total)) = content_range(&text) {
                proptest::prop_assert!(text.contains(&first.to_string()));
                proptest::prop_assert!(total.is_none_or(|total| text.contains(&total.to_string())));
            }
        }
    }

    #[test]
    fn only_http_and_https_addresses_are_asked() {
        let client = |url: &str| {
            let archive = Archive { url: url.to_owned(), ..Archive::official(Default::default()) };
            Client::new(&archive, &Patience::default()).map(|_| ())
        };
        for url in ["http://a/b.tar.gz", "https://a:8/b", "http://[::1]:80/"] {
            assert!(client(url).is_ok(), "{url}");
        }
        for url in ["", "a.tar.gz", "/a/b", "file:///a", "ftp://a/b", "http://", "http:///a", "http://a b/", "x\ny"] {
            let error = client(url).expect_err(url);
            assert_eq!(error.exit_code(), 2);
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
