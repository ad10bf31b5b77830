//! Archives of files that are stored as they are: what `.npz` and PyTorch's files are.
//! Source: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16.

/// An archive that is being written.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

/// 1980-01-01, the first day that there is: equal models give equal archives.
const DATE: u16 = 1 << 5 | 1;
/// Of the format, for stored files.
const VERSION: u16 = 20;

impl Archive {
    /// Adds a file.
    pub fn add(&mut self, name: &str, content: &[&[u8]]) {
        let mut checksum = crc32fast::Hasher::new();
        content.iter().for_each(|part| checksum.update(part));
        let size = content.iter().map(|part| part.len() as u32).sum::<u32>().to_le_bytes();
        let length = (name.len() as u16).to_le_bytes();
        let checksum = checksum.finalize().to_le_bytes();
        // Version, flags, method, time and date; checksum, size and size again, lengths of the name and of what follows it.
        let common: Vec<u8> = [VERSION, 0, 0, 0, DATE].into_iter().flat_map(u16::to_le_bytes).collect();
        let common = [&common[..], &checksum, &size, &size, &length, &[0, 0]].concat();
        let start = (self.bytes.len() as u32).to_le_bytes();
        self.bytes.extend_from_slice(&[b"PK\x03\x04", &common[..], name.as_bytes()].concat());
        content.iter().for_each(|part| self.bytes.extend_from_slice(part));
        // Lengths of a comment, number of a disk, attributes: none.
        let made_by = VERSION.to_le_bytes();
        let entry = [b"PK\x01\x02", &made_by[..], &common, &[0; 10], &start, name.as_bytes()].concat();
        self.directory.extend_from_slice(&entry);
        self.files += 1;
    }

    /// The whole archive; none where it is too large for the format, 4 GiB.
    pub fn finish(self) -> Option<Vec<u8>> {
        let Self { mut bytes, directory, files } = self;
        let start = u32::try_from(bytes.len()).ok()?.to_le_bytes();
        let size = u32::try_from(directory.len()).ok()?.to_le_bytes();
        let files = files.to_le_bytes();
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(&[b"PK\x05\x06", &[0; 4][..], &files, &files, &size, &start, &[0, 0]].concat());
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_its_files_one_after_the_other_and_a_directory_of_them() {
        let mut archive = Archive::default();
        archive.add("a", &[b"12", b"3"]);
        archive.add("bc", &[b""]);
        let bytes = archive.finish().expect("a small one");
        assert_eq!(&bytes[..4], b"PK\x03\x04");
        assert_eq!(&bytes[30..34], b"a123");
        assert_eq!(&bytes[14..18], crc32fast::hash(b"123").to_le_bytes());
        let end = &bytes[bytes.len() - 22..];
        assert_eq!((&end[..4], end[8], end[10]), (&b"PK\x05\x06"[..], 2, 2));
        let start = u32::from_le_bytes(end[16..20].try_into().unwrap()) as usize;
        assert_eq!(start, (30 + 1 + 3) + (30 + 2));
        assert_eq!(&bytes[start..start + 4], b"PK\x01\x02");
        assert_eq!(bytes[start + 46], b'a');
    }
}
