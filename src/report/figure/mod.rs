//! A figure as data: marks on a plane, in named inks. Drawn once; written as SVG whose inks a page can give colours to, or painted into
//! pixels.

pub mod bitmap;
pub mod svg;

/// What something is drawn with. Which colour that is depends on the theme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ink {
    /// Text, axes.
    Text,
    /// Text that stands back.
    Muted,
    /// Lines of a grid.
    Grid,
    /// The first of the categories; then the second, and so on.
    Category(usize),
    /// Diverged trials.
    Diverged,
    /// Where nothing is.
    Empty,
    /// The background.
    Paper,
    /// From 0, worst, to 1, best, on a scale that everybody can read.
    Value(f64),
}

/// The categories' colours on light and on dark (Okabe and Ito).
pub const CATEGORIES: [([u8; 3], [u8; 3]); 6] = [
    ([0, 114, 178], [86, 180, 233]),
    ([213, 94, 0], [240, 142, 60]),
    ([0, 128, 96], [52, 190, 150]),
    ([170, 70, 130], [222, 150, 190]),
    ([120, 105, 20], [240, 228, 66]),
    ([90, 90, 90], [170, 170, 170]),
];

/// Where a text begins, ends or has its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// In the middle.
    Middle,
    /// At its right end.
    End,
}

/// Something drawn. Lengths are in points, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A line through points.
    Line {
        /// x and y.
        points: Vec<(f64, f64)>,
        /// Its ink.
        ink: Ink,
        /// Its width.
        width: f64,
        /// From 0 to 1.
        opacity: f64,
    },
    /// A filled rectangle.
    Rectangle {
        /// Left, top, width, height.
        place: [f64; 4],
        /// Its ink.
        ink: Ink,
        /// What it stands for.
        tip: String,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: (f64, f64),
        /// Its radius.
        radius: f64,
        /// Its ink.
        ink: Ink,
        /// From 0 to 1.
        opacity: f64,
        /// What it stands for.
        tip: String,
    },
    /// A line of text.
    Text {
        /// Its anchor: on the line's middle.
        at: (f64, f64),
        /// What it reads.
        text: String,
        /// Its height.
        size: f64,
        /// Its ink.
        ink: Ink,
        /// Which end is at the anchor.
        anchor: Anchor,
        /// Whether it is set upwards.
        upwards: bool,
        /// Whether it is bold.
        bold: bool,
    },
    /// An area that reacts where a page is alive: a value of an axis.
    Area {
        /// Left, top, width, height.
        place: [f64; 4],
        /// The axis, and the number of the value.
        value: (usize, usize),
        /// What it stands for.
        tip: String,
    },
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// For file names: `importance`.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What is to be seen in it, for those who cannot see it.
    pub description: String,
    /// Width and height in points.
    pub size: (f64, f64),
    /// What is drawn, the later over the earlier.
    pub marks: Vec<Mark>,
    /// Lowest and highest value and where they stand, for a page that draws into it: y of low, y of high, low, high.
    pub scale: Option<[f64; 4]>,
}

/// How wide figures are, and how large their text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Width in points.
    pub width: f64,
    /// Height of text in points.
    pub font: f64,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 760.0, font: 12.0 }
    }
}

impl Figure {
    /// An empty one.
    pub fn new(name: &str, title: &str, description: String, size: (f64, f64)) -> Self {
        Self { name: name.to_owned(), title: title.to_owned(), description, size, marks: vec![], scale: None }
    }

    /// Draws a straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64) {
        self.marks.push(Mark::Line { points: vec![from, to], ink, width, opacity: 1.0 });
    }

    /// Draws a line through points.
    pub fn path(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64, opacity: f64) {
        if points.len() > 1 {
            self.marks.push(Mark::Line { points, ink, width, opacity });
        }
    }

    /// Draws a rectangle: left, top, width, height.
    pub fn rectangle(&mut self, place: [f64; 4], ink: Ink, tip: impl Into<String>) {
        self.marks.push(Mark::Rectangle { place, ink, tip: tip.into() });
    }

    /// Draws a dot.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink, tip: impl Into<String>) {
        self.marks.push(Mark::Dot { at, radius, ink, opacity: 1.0, tip: tip.into() });
    }

    /// Sets text.
    pub fn text(&mut self, at: (f64, f64), size: f64, ink: Ink, anchor: Anchor, text: impl Into<String>) {
        self.marks.push(Mark::Text { at, text: text.into(), size, ink, anchor, upwards: false, bold: false });
    }

    /// Sets bold text.
    pub fn heading(&mut self, at: (f64, f64), size: f64, anchor: Anchor, text: impl Into<String>) {
        self.marks.push(Mark::Text { at, text: text.into(), size, ink: Ink::Text, anchor, upwards: false, bold: true });
    }

    /// Sets text upwards.
    pub fn upwards(&mut self, at: (f64, f64), size: f64, ink: Ink, text: impl Into<String>) {
        let text = text.into();
        self.marks.push(Mark::Text { at, text, size, ink, anchor: Anchor::Middle, upwards: true, bold: false });
    }
}

/// About how wide a text is.
pub fn width_of(text: &str, size: f64) -> f64 {
    let width = |letter: char| match letter {
        'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' | ' ' | 'I' | 't' | 'f' | 'r' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' => 0.92,
        letter if letter.is_uppercase() => 0.70,
        letter if (letter as u32) < 0x2000 => 0.60,
        _ => 1.0,
    };
    size * text.chars().map(width).sum::<f64>()
}

/// A text that is at most so wide: what is too much gives way to an ellipsis.
pub fn fitted(text: &str, size: f64, width: f64) -> String {
    if width_of(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() && width_of(&kept, size) + size > width {}
    kept + "…"
}

/// The colour of a value from 0 to 1: cividis, which reads the same with any colour vision (Nuñez, Anderton and Renslow 2018), by eleven
/// of its colours.
pub fn cividis(value: f64) -> [u8; 3] {
    const COLOURS: [[f64; 3]; 11] = [
        [0.0, 34.0, 78.0],
        [8.0, 51.0, 112.0],
        [53.0, 69.0, 108.0],
        [79.0, 87.0, 108.0],
        [102.0, 105.0, 112.0],
        [125.0, 124.0, 120.0],
        [148.0, 142.0, 119.0],
        [174.0, 163.0, 113.0],
        [200.0, 184.0, 102.0],
        [229.0, 207.0, 82.0],
        [254.0, 232.0, 56.0],
    ];
    let place = if value.is_finite() { value.clamp(0.0, 1.0) * 10.0 } else { 0.0 };
    let (low, part) = ((place.floor() as usize).min(9), place - place.floor().min(9.0));
    [0, 1, 2].map(|channel| {
        let (from, to) = (COLOURS[low][channel], COLOURS[low + 1][channel]);
        (from + part * (to - from)).round() as u8
    })
}

/// Whether dark text reads better than light on such a colour.
pub fn wants_dark_text(value: f64) -> bool {
    value > 0.52
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_of_values_becomes_lighter_all_the_way() {
        let light = |[r, g, b]: [u8; 3]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        let steps: Vec<f64> = (0..=100).map(|step| light(cividis(f64::from(step) / 100.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1] + 0.6));
        assert_eq!((cividis(-1.0), cividis(2.0), cividis(f64::NAN)), (cividis(0.0), cividis(1.0), cividis(0.0)));
    }

    #[test]
    fn what_is_too_wide_gives_way_to_an_ellipsis() {
        assert_eq!(fitted("hidden", 10.0, 100.0), "hidden");
        let cut = fitted("learning_rate_decay", 10.0, 60.0);
        assert!(cut.ends_with('…') && cut.starts_with("lear") && width_of(&cut, 10.0) <= 62.0, "{cut}");
    }
}
