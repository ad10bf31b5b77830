//! Pixels in memory, and PNG files.

use std::io;
use std::path::Path;

use crate::error::Result;
use crate::files;

/// Bytes of a pixel: red, green, blue.
const CHANNELS: usize = 3;

/// A picture in 24-bit colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// (row, column, channel), `height` × `width` × 3.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A white one.
    pub fn white(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![u8::MAX; width * height * CHANNELS] }
    }

    /// Sets a pixel.
    ///
    /// # Panics
    /// It is outside.
    pub fn set(&mut self, row: usize, column: usize, colour: [u8; CHANNELS]) {
        assert!(column < self.width, "the pixel is in the picture");
        let at = (row * self.width + column) * CHANNELS;
        self.pixels[at..at + CHANNELS].copy_from_slice(&colour);
    }

    /// The picture with each square of `times` × `times` pixels made one, their mean: what was drawn large gets soft edges.
    ///
    /// # Panics
    /// Width or height are no multiples of `times`.
    #[must_use]
    pub fn shrunk(&self, times: usize) -> Self {
        assert!(self.width.is_multiple_of(times) && self.height.is_multiple_of(times), "squares fill the picture");
        let (width, height) = (self.width / times, self.height / times);
        let mut sums = vec![0_u32; width * CHANNELS];
        let mut pixels = Vec::with_capacity(width * height * CHANNELS);
        for rows in self.pixels.chunks_exact(self.width * CHANNELS * times) {
            sums.fill(0);
            for (at, &value) in rows.iter().enumerate() {
                let column = at / CHANNELS % self.width / times;
                sums[column * CHANNELS + at % CHANNELS] += u32::from(value);
            }
            let squares = (times * times) as u32;
            pixels.extend(sums.iter().map(|sum| ((sum + squares / 2) / squares) as u8));
        }
        Self { width, height, pixels }
    }

    /// Writes it as PNG, whole or not at all. Equal pictures give equal files.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::replace(path, |file| self.encode(file))
    }

    /// As the bytes of a PNG file.
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes).expect("writing into memory does not fail");
        bytes
    }

    fn encode(&self, file: &mut Vec<u8>) -> io::Result<()> {
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        Ok(writer.finish()?)
    }
}
