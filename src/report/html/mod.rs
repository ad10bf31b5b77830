//! The report of a sweep as one page: a file that needs nothing but itself, and a policy in it that lets it load nothing else.
//!
//! A section is a function from the [`View`] to HTML. What it shows stands in it, drawn, without any script; the script filters, brushes and
//! sorts. Equal views give equal bytes.

mod best;
mod curves;
mod environment;
mod failures;
mod headline;
mod importance;
mod leaderboard;
mod network;
mod pairs;
mod parallel;
mod payload;
mod rungs;
mod slices;
pub mod text;
mod time;

use sha2::{Digest, Sha256};

use self::text::{base64, escaped};
use super::figure::{CATEGORIES, Figure, svg};
use super::view::View;

pub use self::leaderboard::mean as mean_of;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The sections in their order: identifier, name in the menu, content.
type Section = (&'static str, &'static str, fn(&View<'_>) -> String);

const SECTIONS: [Section; 13] = [
    ("summary", "Summary", headline::section),
    ("best", "Best", best::section),
    ("importance", "What mattered", importance::section),
    ("slices", "One at a time", slices::section),
    ("parallel", "All at once", parallel::section),
    ("leaderboard", "Leaderboard", leaderboard::section),
    ("pairs", "Pairs", pairs::section),
    ("curves", "Curves", curves::section),
    ("rungs", "Cuts", rungs::section),
    ("network", "Network", network::section),
    ("failures", "Failures", failures::section),
    ("time", "Time", time::section),
    ("environment", "Environment", environment::section),
];

/// The page. With `refresh`, a browser reads it again after so many seconds.
pub fn page(view: &View<'_>, refresh: Option<u32>) -> String {
    let style = style();
    let hash = |text: &str| base64(&Sha256::digest(text));
    // Nothing may be loaded, sent or run but what stands here.
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(SCRIPT)
    );
    let refresh =
        refresh.map_or(String::new(), |seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"));
    let sections: Vec<(&str, &str, String)> =
        SECTIONS.iter().map(|(id, name, section)| (*id, *name, section(view))).collect();
    let shown = || sections.iter().filter(|(_, _, content)| !content.is_empty());
    let menu: String = shown().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>")).collect();
    let content: String = shown().map(|(.., content)| content.as_str()).collect();
    let name = escaped(&view.name);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{policy}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" \
         content=\"light dark\">\n<meta name=\"generator\" content=\"mlpgrid\">\n{refresh}<title>{name} · mlpgrid report</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{style}</style>\n</head>\n<body>\n<header><div class=\"bar\"><h1>{name}</h1>\
         <div class=\"filter alive\" role=\"search\"><label for=\"filter\">Filter</label><input id=\"filter\" type=\"search\" \
         autocomplete=\"off\" spellcheck=\"false\" placeholder=\"{hint}\"><output id=\"shown\" for=\"filter\"></output>\
         <button type=\"button\" id=\"reset\">Reset</button></div><button type=\"button\" id=\"theme\" class=\"alive\" \
         title=\"Colours: as the system, light, dark\">Theme: auto</button></div>\
         <nav aria-label=\"Sections\">{menu}</nav></header>\n<main>\n{content}</main>\n<div id=\"tip\" role=\"tooltip\" hidden></div>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        hint = escaped(&hint(view)),
        data = text::script_data(&payload::json(view)),
    )
}

/// A figure under its caption, which is a plain text.
fn captioned(caption: &str, figure: &Figure) -> String {
    format!("<figure class=\"plot\"><figcaption>{}</figcaption>{}</figure>", escaped(caption), svg::inline(figure))
}

/// Figures, each under its title.
fn titled(figures: impl IntoIterator<Item = Figure>) -> String {
    figures.into_iter().map(|figure| captioned(&figure.title, &figure)).collect()
}

/// An example of a filter on this sweep.
fn hint(view: &View<'_>) -> String {
    let mut parts: Vec<String> = vec![];
    for axis in view.groups.axes.iter().filter(|axis| axis.values.len() > 1).take(2) {
        let sign = if matches!(axis.values[0], crate::model::value::Value::Word(_)) { "=" } else { ">=" };
        parts.push(format!("{}{sign}{}", axis.name, axis.label(axis.values.len() / 2)));
    }
    parts.push("mean>0.4".to_owned());
    parts.join(" ")
}

/// The style sheet, with the categories' colours on light and on dark.
fn style() -> String {
    let colours = |dark: bool| -> String {
        let one = |(at, (light_colour, dark_colour)): (usize, &([u8; 3], [u8; 3]))| {
            let [r, g, b] = if dark { dark_colour } else { light_colour };
            format!("--c{at}:rgb({r},{g},{b});")
        };
        CATEGORIES.iter().enumerate().map(one).collect()
    };
    let classes: String =
        (0..CATEGORIES.len()).map(|at| format!(".c{at}{{fill:var(--c{at})}}.s-c{at}{{stroke:var(--c{at})}}")).collect();
    STYLE
        .replace("/*light categories*/", &colours(false))
        .replace("/*dark categories*/", &colours(true))
        .replace("/*classes of categories*/", &classes)
}
