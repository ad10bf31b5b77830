//! `mlpgrid fetch`: CIFAR from its home or from a mirror, checked and unpacked.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use humantime::format_duration;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use super::terminal::{self, print_path};
use crate::data::Format;
use crate::data::fetch::{self, Archive, Patience, Progress};
use crate::error::Result;

/// Between two lines of progress, where a bar cannot be drawn.
const EVERY: Duration = Duration::from_secs(5);

/// Download CIFAR-10 or CIFAR-100, verify its checksum and unpack it
///
/// What is there already is not downloaded again, and a download that broke off is continued; an archive that lies in the
/// directory is unpacked without the network. Files with other contents than the official ones are replaced. Prints the data folder.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Directory that the data folder goes into
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub dir: PathBuf,
    /// Data set; both kinds of labels of CIFAR-100 are in one archive
    #[arg(long, value_enum, default_value_t)]
    pub dataset: Format,
    /// Address of the archive on a mirror, or its path on this machine; it must have the official checksum [default: the home of
    /// CIFAR]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// Fetches, logs progress to stderr, and prints the data folder on stdout.
///
/// # Errors
/// See [`fetch::fetch`].
pub fn run(arguments: &Arguments) -> Result<u8> {
    let mut archive = Archive::official(arguments.dataset);
    if let Some(url) = &arguments.url {
        archive.url.clone_from(url);
    }
    let mut display = Display::new(&archive, &arguments.dir);
    let outcome = fetch::fetch(&archive, &arguments.dir, &Patience::default(), &mut |progress| display.take(progress));
    display.bar.finish_and_clear(); // what is printed next stands on a line of its own
    print_path(&outcome?)?;
    Ok(0)
}

/// Turns progress into a bar on a terminal, and into a line every few seconds elsewhere.
struct Display<'a> {
    archive: &'a Archive,
    directory: &'a Path,
    bar: ProgressBar,
    /// When the connection in use began to bring bytes, and at which byte.
    began: (Instant, u64),
    last_line: Instant,
}

impl<'a> Display<'a> {
    fn new(archive: &'a Archive, directory: &'a Path) -> Self {
        let now = Instant::now();
        Self { archive, directory, bar: ProgressBar::hidden(), began: (now, 0), last_line: now }
    }

    fn take(&mut self, progress: Progress) {
        let Archive { url, bytes: total, format, .. } = self.archive;
        let folder = self.directory.join(format.archive.folder);
        match progress {
            Progress::Complete => log(&format!("{} is here and complete, nothing to do", format.name)),
            Progress::Damaged(fault) => log(&format!("{} will be replaced ({fault})", folder.display())),
            Progress::Waiting => {
                log(&format!("another fetch is at work in {}, waiting for it", self.directory.display()));
            }
            Progress::Found(path) => log(&format!("the archive is here: {}", path.display())),
            Progress::Receiving(from) => {
                let what = if from == 0 { "downloading".to_owned() } else { format!("continuing at byte {from} of") };
                log(&format!("{what} {url} ({})", DecimalBytes(*total)));
                self.began = (Instant::now(), from);
                self.last_line = self.began.0;
                self.bar = bar(*total, from);
            }
            Progress::Received(bytes) => {
                let (start, from) = self.began;
                let line = line(from, bytes, *total, start.elapsed());
                if !self.bar.is_hidden() {
                    self.bar.set_message(line);
                    self.bar.set_position(bytes);
                } else if self.last_line.elapsed() >= EVERY {
                    self.last_line = Instant::now();
                    log(&line);
                }
            }
            Progress::Retrying(trouble, pause) => {
                self.bar.finish_and_clear();
                log(&format!("{trouble}; trying again in {}", format_duration(pause)));
            }
            Progress::Checking => {
                self.bar.finish_and_clear();
                log("checking the MD5");
            }
            Progress::Unpacking => log(&format!("unpacking into {}", folder.display())),
        }
    }
}

fn bar(total: u64, from: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {msg}").expect("the template is well-formed");
    ProgressBar::new(total).with_style(style).with_position(from)
}

/// How far a download is, how fast on this connection, and how much longer it takes if it goes on like that.
fn line(from: u64, bytes: u64, total: u64, elapsed: Duration) -> String {
    let rate = (bytes - from) as f64 / elapsed.as_secs_f64();
    let left = format_duration(Duration::from_secs(((total - bytes) as f64 / rate) as u64));
    let percent = bytes * 100 / total;
    let (bytes, total, rate) = (DecimalBytes(bytes), DecimalBytes(total), DecimalBytes(rate as u64));
    format!("{bytes} of {total} ({percent} %), {rate}/s, ETA {left}")
}

fn log(text: &str) {
    terminal::log(&format!("fetch: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_progress_rate_and_time_left() {
        let line = line(50_000_000, 70_000_000, 170_000_000, Duration::from_secs(10));
        assert_eq!(line, "70.00 MB of 170.00 MB (41 %), 2.00 MB/s, ETA 50s");
    }
}
