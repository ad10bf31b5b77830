//! `fetch` against a server on this machine that cuts, stalls, lies and dies on request.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use common::archive::{FOLDER, archive_of, entries, names, tar_gz};
use mlpgrid::cli;
use mlpgrid::data::fetch::{self, Archive, Patience, Progress};
use mlpgrid::{Error, Result};
use tempfile::TempDir;

const PART: &str = "small.tar.gz.part";

/// What a server does with one request before it hangs up.
struct Reply {
    bytes: Vec<u8>,
    /// How long it stays on the line in silence.
    hold: Duration,
}

fn reply(head: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    Reply { bytes: [head.as_bytes(), body].concat(), hold: Duration::ZERO }
}

/// The bytes from where the request asks for them, or the first `sent` of those before the line goes dead.
fn honest(bytes: &[u8], from: Option<usize>, sent: usize) -> Reply {
    let (total, start) = (bytes.len(), from.unwrap_or(0));
    let rest = &bytes[start..];
    let status = match from {
        None => "200 OK".to_owned(),
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1),
    };
    reply(&format!("{status}\r\nContent-Length: {}", rest.len()), &rest[..sent.min(rest.len())])
}

/// Answers one request, given the byte from which it asks.
type Answer = Box<dyn Fn(Option<usize>) -> Reply + Send>;

fn whole(bytes: &[u8]) -> Answer {
    first(bytes, usize::MAX)
}

fn first(bytes: &[u8], sent: usize) -> Answer {
    let bytes = bytes.to_vec();
    Box::new(move |from| honest(&bytes, from, sent))
}

/// Whatever is asked for.
fn always(head: &str, body: &[u8]) -> Answer {
    let (head, body) = (head.to_owned(), body.to_vec());
    Box::new(move |_| reply(&head, &body))
}

/// Gives each of its answers to one request, then refuses connections.
struct Server {
    url: String,
    /// The byte from which each request asked.
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let from = read_request(&mut stream);
                log.lock().unwrap_or_else(PoisonError::into_inner).push(from);
                let reply = answer(from);
                let _ = stream.write_all(&reply.bytes); // a client may have heard enough
                thread::sleep(reply.hold);
            }
        });
        Self { url: format!("http://{address}/mirror/small.tar.gz"), asked }
    }

    fn asked(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads a request's head, and returns the byte from which it asks.
fn read_request(stream: &mut TcpStream) -> Option<usize> {
    let (mut head, mut byte) = (vec![], [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    range.strip_suffix('-')?.parse().ok()
}

/// Fetches with short pauses, and returns what was reported too.
fn try_fetch(archive: &Archive, directory: &Path) -> (Result<PathBuf>, Vec<Progress>) {
    try_fetch_within(Duration::from_secs(20), archive, directory)
}

/// The same, with so long to wait for the next bytes.
fn try_fetch_within(stall: Duration, archive: &Archive, directory: &Path) -> (Result<PathBuf>, Vec<Progress>) {
    let pauses = vec![Duration::from_millis(10); 2];
    let patience = Patience { connect: Duration::from_secs(20), stall, pauses };
    let mut reports = vec![];
    let outcome = fetch::fetch(archive, directory, &patience, &mut |progress| reports.push(progress));
    (outcome, reports)
}

/// The error of a fetch that must fail, which is one line that stands for one exit code.
fn failure(archive: &Archive, directory: &Path, code: u8) -> String {
    let error = try_fetch(archive, directory).0.expect_err("this fetch cannot succeed");
    let text = error.to_string();
    assert_eq!(error.exit_code(), code, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The directory holds the data folder and nothing else, and the folder the files of the archive.
fn assert_fetched(directory: &Path) {
    assert_eq!(names(directory), [FOLDER]);
    for (path, bytes) in entries() {
        assert!(fs::read(directory.join(&path)).expect("unpacked") == bytes, "{path}");
    }
}

/// A data folder that lacks most files, and what is in it.
fn damaged(directory: &Path) -> PathBuf {
    let file = directory.join(FOLDER).join("data_batch_1.bin");
    fs::create_dir(directory.join(FOLDER)).expect("a directory");
    fs::write(&file, "not much").expect("a file");
    file
}

#[test]
fn a_whole_download_is_verified_unpacked_and_found() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let server = Server::new(vec![whole(&bytes)]);
    let nested = directory.path().join("a/b");
    let (outcome, reports) = try_fetch(&archive_of(&bytes, &server.url), &nested);
    assert_eq!(outcome.unwrap(), nested.join(FOLDER));
    assert_fetched(&nested);
    assert_eq!(server.asked(), [None]);
    assert_eq!(reports.first(), Some(&Progress::Receiving(0)));
    let end = [Progress::Received(bytes.len() as u64), Progress::Checking, Progress::Unpacking];
    assert!(reports.ends_with(&end), "{reports:?}");
}

#[test]
fn a_second_run_with_a_complete_folder_downloads_nothing() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let server = Server::new(vec![whole(&bytes), whole(&bytes)]);
    let archive = archive_of(&bytes, &server.url);
    let folder = try_fetch(&archive, directory.path()).0.unwrap();
    for given in [directory.path(), &folder] {
        let (outcome, reports) = try_fetch(&archive, given);
        assert_eq!(outcome.unwrap(), folder);
        assert_eq!(reports, [Progress::Complete]);
    }
    assert_eq!(server.asked(), [None]);
    assert_fetched(directory.path());
}

#[test]
fn a_connection_cut_in_the_middle_is_continued_by_range_within_the_same_run() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    // More cuts than attempts without progress: each brings bytes, so patience begins anew.
    let cuts = || (0..5).map(|_| first(&bytes, 5000));
    let server = Server::new(cuts().chain([whole(&bytes)]).collect());
    let (outcome, reports) = try_fetch(&archive_of(&bytes, &server.url), directory.path());
    outcome.unwrap();
    assert_fetched(directory.path());
    assert_eq!(server.asked(), [None, Some(5000), Some(10_000), Some(15_000), Some(20_000), Some(25_000)]);
    assert!(reports.contains(&Progress::Retrying("the connection ended".to_owned(), Duration::from_millis(10))));
    assert!(reports.contains(&Progress::Receiving(25_000)));
}

#[test]
fn a_download_broken_off_by_a_dying_server_is_continued_on_the_next_run_from_where_it_was() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let dying = Server::new(vec![first(&bytes, 7000)]);
    let error = failure(&archive_of(&bytes, &dying.url), directory.path(), 1);
    assert!(error.starts_with(&dying.url) && error.contains("after 7000 bytes; run the same command again"), "{error}");
    assert_eq!(names(directory.path()), [PART]);
    assert_eq!(fs::read(directory.path().join(PART)).unwrap(), bytes[..7000]);

    let server = Server::new(vec![whole(&bytes)]);
    try_fetch(&archive_of(&bytes, &server.url), directory.path()).0.unwrap();
    assert_eq!(server.asked(), [Some(7000)]);
    assert_fetched(directory.path());
}

#[test]
fn a_server_that_ignores_the_range_is_heard_from_the_start() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let ignorant = always(&format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes);
    let server = Server::new(vec![first(&bytes, 7000), ignorant]);
    let (outcome, reports) = try_fetch(&archive_of(&bytes, &server.url), directory.path());
    outcome.unwrap();
    assert_eq!(server.asked(), [None, Some(7000)]);
    assert_eq!(reports.iter().filter(|report| **report == Progress::Receiving(0)).count(), 2);
    assert_fetched(directory.path());
}

#[test]
fn a_server_that_cannot_continue_or_sends_another_range_is_asked_for_the_whole() {
    let bytes = tar_gz(&entries());
    let total = bytes.len();
    for head in [
        format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\nContent-Length: 0"),
        format!("206 Partial Content\r\nContent-Range: bytes 0-{}/{total}\r\nContent-Length: {total}", total - 1),
        format!("206 Partial Content\r\nContent-Length: {total}"),
    ] {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join(PART), &bytes[..7000]).unwrap();
        let server = Server::new(vec![always(&head, &[]), whole(&bytes)]);
        try_fetch(&archive_of(&bytes, &server.url), directory.path()).0.unwrap();
        assert_eq!(server.asked(), [Some(7000), None], "{head}");
        assert_fetched(directory.path());
    }
}

#[test]
fn a_part_file_that_holds_all_is_not_downloaded_again_and_a_longer_one_is() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let server = Server::new(vec![whole(&bytes)]);
    let archive = archive_of(&bytes, &server.url);
    fs::write(directory.path().join(PART), &bytes).unwrap();
    try_fetch(&archive, directory.path()).0.unwrap();
    assert_eq!(server.asked(), []);
    assert_fetched(directory.path());

    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(PART), [&bytes[..], b"more"].concat()).unwrap();
    try_fetch(&archive, directory.path()).0.unwrap();
    assert_eq!(server.asked(), [None]);
    assert_fetched(directory.path());
}

#[test]
fn a_redirect_is_followed_and_takes_the_range_along() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    fs::write(directory.path().join(PART), &bytes[..7000]).unwrap();
    let server = Server::new(vec![whole(&bytes)]);
    let front = Server::new(vec![always(&format!("302 Found\r\nLocation: {}\r\nContent-Length: 0", server.url), &[])]);
    try_fetch(&archive_of(&bytes, &front.url), directory.path()).0.unwrap();
    assert_eq!(server.asked(), [Some(7000)]);
    assert_fetched(directory.path());
}

#[test]
fn a_body_without_a_length_or_labelled_as_encoded_is_taken_as_it_is() {
    let bytes = tar_gz(&entries());
    for head in ["200 OK", "200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/x-tar"] {
        let directory = TempDir::new().unwrap();
        let server = Server::new(vec![always(head, &bytes)]);
        try_fetch(&archive_of(&bytes, &server.url), directory.path()).0.unwrap();
        assert_fetched(directory.path());
    }
}

#[test]
fn a_wrong_checksum_leaves_an_existing_folder_as_it_was_and_removes_the_part_file() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let file = damaged(directory.path());
    let server = Server::new(vec![whole(&bytes)]);
    let archive = Archive { md5: "0".repeat(32), ..archive_of(&bytes, &server.url) };
    let error = failure(&archive, directory.path(), 1);
    let found = archive_of(&bytes, "").md5;
    assert!(error.contains(&format!("expected MD5 {}, found MD5 {found}; ", archive.md5)), "{error}");
    assert!(error.contains(PART) && error.contains("login page") && error.contains("--url"), "{error}");
    assert_eq!(names(directory.path()), [FOLDER]);
    assert_eq!(names(&directory.path().join(FOLDER)), ["data_batch_1.bin"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "not much");
}

#[test]
fn an_address_that_is_not_found_is_one_clear_line_at_once_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let server = Server::new(vec![always("404 Not Found\r\nContent-Length: 4", b"gone"), whole(b"")]);
    let error = failure(&archive_of(b"bytes", &server.url), directory.path(), 1);
    assert!(error.starts_with(&server.url) && error.contains("found HTTP 404 Not Found; check the address"), "{error}");
    assert_eq!(server.asked(), [None]);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn something_else_than_the_archive_is_refused_and_what_was_downloaded_before_stays() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    fs::write(directory.path().join(PART), &bytes[..7000]).unwrap();
    for (head, found) in [
        ("200 OK\r\nContent-Type: text/html; charset=utf-8", "found a web page"),
        ("200 OK\r\nContent-Length: 5", "found 5 bytes"),
        ("206 Partial Content\r\nContent-Range: bytes 7000-8999/9000\r\nContent-Length: 2000", "found 9000 bytes"),
    ] {
        let server = Server::new(vec![always(head, b"hello")]);
        let error = failure(&archive_of(&bytes, &server.url), directory.path(), 1);
        assert!(error.contains(found) && error.contains("login page"), "{error}");
        assert_eq!(fs::read(directory.path().join(PART)).unwrap(), bytes[..7000]);
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_given_up_in_the_end() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let busy = || always("503 Service Unavailable\r\nContent-Length: 0", &[]);
    let server = Server::new(vec![busy(), busy(), whole(&bytes)]);
    try_fetch(&archive_of(&bytes, &server.url), directory.path()).0.unwrap();
    assert_fetched(directory.path());

    let directory = TempDir::new().unwrap();
    let server = Server::new(vec![busy(), busy(), busy(), busy()]);
    let error = failure(&archive_of(&bytes, &server.url), directory.path(), 1);
    assert!(error.contains("found HTTP 503 Service Unavailable"), "{error}");
    assert_eq!(server.asked().len(), 3);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    let bytes = tar_gz(&entries());
    let hold = Duration::from_secs(600);
    let half = bytes.clone();
    let halfway: Answer = Box::new(move |from| Reply { hold, ..honest(&half, from, 7000) });
    let mute: Answer = Box::new(move |_| Reply { hold, bytes: vec![] });
    for (answer, found) in [
        (halfway, "found no answer in time after 7000 bytes; run the same command again"),
        (mute, "found no answer in time; check the network"),
    ] {
        let (directory, start) = (TempDir::new().unwrap(), Instant::now());
        let server = Server::new(vec![answer]);
        let archive = archive_of(&bytes, &server.url);
        let error = try_fetch_within(Duration::from_millis(300), &archive, directory.path()).0.unwrap_err();
        assert!(matches!(error, Error::Network(_)) && error.to_string().contains(found), "{error}");
        assert!(start.elapsed() < hold / 2);
    }
}

#[test]
fn a_server_that_nobody_runs_is_asked_once() {
    let directory = TempDir::new().unwrap();
    let server = Server::new(vec![]);
    let (outcome, reports) = try_fetch(&archive_of(b"bytes", &server.url), directory.path());
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Network(_)) && error.to_string().contains("check the network"), "{error}");
    assert_eq!(reports, []);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn an_archive_whose_paths_escape_writes_nothing_outside() {
    let parent = TempDir::new().unwrap();
    let absolute = parent.path().join("evil").display().to_string();
    let nested = format!("{FOLDER}/../../evil");
    let escapes = ["../evil", "../../evil", "evil", &absolute, &nested, &format!("{FOLDER}/deeper/evil")];
    let mut all: Vec<_> = escapes.iter().map(|path| (path.to_string(), b"evil".to_vec())).collect();
    all.extend(entries());
    let bytes = tar_gz(&all);
    let server = Server::new(vec![whole(&bytes)]);
    let directory = parent.path().join("data");
    try_fetch(&archive_of(&bytes, &server.url), &directory).0.unwrap();
    assert_eq!(names(parent.path()), ["data"]);
    assert_fetched(&directory);
    assert_eq!(names(&directory.join(FOLDER)).len(), entries().len());
}

#[test]
fn a_truncated_a_garbage_and_an_incomplete_archive_leave_everything_as_it_was() {
    let full = tar_gz(&entries());
    let mut short = entries();
    short[2].1.pop();
    let cases = [
        (full[..full.len() / 2].to_vec(), "expected a whole tar.gz archive"),
        (b"<p>no archive".to_vec(), "expected a whole tar.gz archive"),
        (tar_gz(&entries()[1..]), "data_batch_1.bin: expected 6146 bytes, found no such file"),
        (tar_gz(&short), "data_batch_3.bin: expected 6146 bytes, found 6145 bytes"),
    ];
    for (bytes, complaint) in cases {
        let directory = TempDir::new().unwrap();
        let file = damaged(directory.path());
        let server = Server::new(vec![whole(&bytes)]);
        let error = failure(&archive_of(&bytes, &server.url), directory.path(), 1);
        assert!(error.contains(complaint), "{error}");
        assert_eq!(names(directory.path()), [FOLDER]);
        assert_eq!(names(&directory.path().join(FOLDER)), ["data_batch_1.bin"]);
        assert_eq!(fs::read_to_string(file).unwrap(), "not much");
    }
}

#[test]
fn a_damaged_folder_is_replaced() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    damaged(directory.path());
    let server = Server::new(vec![whole(&bytes)]);
    let (outcome, reports) = try_fetch(&archive_of(&bytes, &server.url), directory.path());
    outcome.unwrap();
    let damage = "data_batch_1.bin: expected 6146 bytes, found 8 bytes".to_owned();
    assert_eq!(reports.first(), Some(&Progress::Damaged(damage)));
    assert_fetched(directory.path());
}

#[test]
fn what_a_killed_run_left_is_tidied_and_the_old_folder_gets_its_name_back() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let hidden = |suffix: &str| directory.path().join(format!(".{FOLDER}.{suffix}"));
    // Killed between the two renames, with the archive still there; then the server is gone.
    damaged(directory.path());
    fs::rename(directory.path().join(FOLDER), hidden("old")).unwrap();
    fs::create_dir(hidden("new")).unwrap();
    fs::write(directory.path().join(PART), &bytes[..7000]).unwrap();
    failure(&archive_of(&bytes, &Server::new(vec![]).url), directory.path(), 1);
    assert_eq!(names(directory.path()), [FOLDER, PART]);
    assert_eq!(names(&directory.path().join(FOLDER)), ["data_batch_1.bin"]);

    // Killed after the renames.
    let server = Server::new(vec![whole(&bytes)]);
    let archive = archive_of(&bytes, &server.url);
    try_fetch(&archive, directory.path()).0.unwrap();
    fs::create_dir(hidden("old")).unwrap();
    fs::write(directory.path().join(PART), &bytes).unwrap();
    assert_eq!(try_fetch(&archive, directory.path()).1, [Progress::Complete]);
    assert_fetched(directory.path());
}

#[test]
fn a_synthetic_set_and_what_is_no_data_folder_are_refused_and_stay() {
    let bytes = tar_gz(&entries());
    let server = Server::new(vec![whole(&bytes)]);
    let archive = archive_of(&bytes, &server.url);

    let directory = TempDir::new().unwrap();
    let file = damaged(directory.path());
    fs::write(file.with_file_name("synthetic.json"), "{}").unwrap();
    for given in [directory.path(), &directory.path().join(FOLDER)] {
        let error = failure(&archive, given, 2);
        assert!(error.contains("found a synthetic set") && error.contains("choose another --dir"), "{error}");
    }
    assert_eq!(names(directory.path()), [FOLDER]);
    assert_eq!(names(&directory.path().join(FOLDER)), ["data_batch_1.bin", "synthetic.json"]);

    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(FOLDER), "a file").unwrap();
    let error = failure(&archive, directory.path(), 2);
    assert!(error.contains("found something that is no directory"), "{error}");

    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("test_batch.bin"), "short").unwrap();
    let error = failure(&archive, directory.path(), 2);
    assert!(error.contains("give the directory above it with --dir"), "{error}");
    assert_eq!(names(directory.path()), ["test_batch.bin"]);
    assert_eq!(server.asked(), []);
}

#[test]
fn of_two_fetches_at_once_one_waits_and_finds_the_others_files() {
    let (directory, bytes) = (TempDir::new().unwrap(), tar_gz(&entries()));
    let slow: Answer = {
        let bytes = bytes.clone();
        Box::new(move |from| {
            thread::sleep(Duration::from_millis(300));
            honest(&bytes, from, usize::MAX)
        })
    };
    let server = Server::new(vec![slow, whole(&bytes)]);
    let archive = archive_of(&bytes, &server.url);
    let start = Barrier::new(2);
    let mut reports: Vec<_> = thread::scope(|scope| {
        let fetch = || {
            start.wait();
            let (outcome, reports) = try_fetch(&archive, directory.path());
            outcome.unwrap();
            reports
        };
        let threads = [scope.spawn(fetch), scope.spawn(fetch)];
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    reports.sort_by_key(Vec::len);
    assert_eq!(reports[0], [Progress::Waiting, Progress::Complete]);
    assert_eq!(server.asked(), [None]);
    assert_fetched(directory.path());
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    fetch: cli::fetch::Arguments,
}

#[test]
fn the_command_takes_a_mirror_and_says_which_address_it_cannot_use() {
    let directory = TempDir::new().unwrap();
    let run = |dataset: &str, url: &str| {
        let arguments =
            ["mlpgrid", "--dir", &directory.path().display().to_string(), "--dataset", dataset, "--url", url];
        cli::fetch::run(&Program::try_parse_from(arguments).unwrap().fetch).unwrap_err()
    };
    let error = run("cifar10", "ftp://mirror/cifar-10-binary.tar.gz");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("found `ftp://mirror/cifar-10-binary.tar.gz`"), "{error}");
    let server = Server::new(vec![always("200 OK\r\nContent-Length: 5", b"hello")]);
    let error = run("cifar100", &server.url);
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("expected an archive of 168513733 bytes, found 5 bytes"), "{error}");
    assert!(names(directory.path()).is_empty());
}
