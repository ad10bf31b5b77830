//! Figures as SVG: inks are classes, so that a page can give them colours; a file of its own brings its colours with it.

use std::fmt::Write as _;

use super::{Anchor, CATEGORIES, Figure, Ink, Mark, cividis};
use crate::report::html::text::escaped;

/// As part of a page, which has the inks' colours.
pub fn inline(figure: &Figure) -> String {
    write(figure, None)
}

/// As a file of its own, on white.
pub fn file(figure: &Figure) -> String {
    let mut style = String::from(
        "text{font-family:\"DejaVu Sans\",Verdana,sans-serif}.paper{fill:#fff}.text{fill:#222}.muted{fill:#666}.grid{fill:#ddd}\
         .empty{fill:#eee}.diverged{fill:#b0307a}.s-text{stroke:#222}.s-muted{stroke:#666}.s-grid{stroke:#ddd}.s-empty{stroke:#eee}\
         .s-diverged{stroke:#b0307a}",
    );
    for (at, ([r, g, b], _)) in CATEGORIES.iter().enumerate() {
        let _ = write!(style, ".c{at}{{fill:rgb({r},{g},{b})}}.s-c{at}{{stroke:rgb({r},{g},{b})}}");
    }
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", write(figure, Some(&style)))
}

fn write(figure: &Figure, style: Option<&str>) -> String {
    let (width, height) = figure.size;
    let name = &figure.name;
    let scale = figure.scale.map_or(String::new(), |[low_at, high_at, low, high]| {
        format!(" data-scale=\"{} {} {low} {high}\"", short(low_at), short(high_at))
    });
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
         aria-labelledby=\"{name}-title {name}-desc\" data-figure=\"{name}\"{scale}><title id=\"{name}-title\">{}</title>\
         <desc id=\"{name}-desc\">{}</desc>",
        escaped(&figure.title),
        escaped(&figure.description),
        w = short(width),
        h = short(height),
    );
    if let Some(style) = style {
        let _ = write!(svg, "<style>{style}</style><rect class=\"paper\" width=\"100%\" height=\"100%\"/>");
    }
    for mark in &figure.marks {
        write_mark(&mut svg, mark);
    }
    svg + "</svg>"
}

fn write_mark(svg: &mut String, mark: &Mark) {
    let tipped = |tip: &str| match tip {
        "" => "/>".to_owned(),
        tip => format!("><title>{}</title></", escaped(tip)),
    };
    // What is written into a string is always written.
    let _ = match mark {
        Mark::Line { points, ink, width, opacity } => {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
            let opacity = if *opacity < 1.0 { format!(" opacity=\"{}\"", short(*opacity)) } else { String::new() };
            let points = points.join(" ");
            write!(
                svg,
                "<polyline fill=\"none\" {} stroke-width=\"{}\"{opacity} points=\"{points}\"/>",
                stroke(*ink),
                short(*width)
            )
        }
        Mark::Rectangle { place, ink, tip } => {
            let [x, y, w, h] = place.map(short);
            let end = tipped(tip);
            let close = if end.ends_with("</") { "rect>" } else { "" };
            write!(svg, "<rect {} x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{end}{close}", fill(*ink))
        }
        Mark::Dot { at, radius, ink, opacity, tip } => {
            let end = tipped(tip);
            let close = if end.ends_with("</") { "circle>" } else { "" };
            let opacity = if *opacity < 1.0 { format!(" opacity=\"{}\"", short(*opacity)) } else { String::new() };
            let (x, y, r) = (short(at.0), short(at.1), short(*radius));
            write!(svg, "<circle {} cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{opacity}{end}{close}", fill(*ink))
        }
        Mark::Text { at, text, size, ink, anchor, upwards, bold } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            // Letters stand about their middle: browsers and other programs agree on this shift better than on `dominant-baseline`.
            let (x, y) = (short(at.0), short(at.1));
            let turn = if *upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
            let bold = if *bold { " font-weight=\"bold\"" } else { "" };
            write!(
                svg,
                "<text {} x=\"{x}\" y=\"{y}\" dy=\".35em\" font-size=\"{}\"{anchor}{bold}{turn}>{}</text>",
                fill(*ink),
                short(*size),
                escaped(text)
            )
        }
        Mark::Area { place, value: (axis, value), tip } => {
            let [x, y, w, h] = place.map(short);
            write!(
                svg,
                "<rect class=\"area\" fill=\"transparent\" data-axis=\"{axis}\" data-value=\"{value}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" \
                 height=\"{h}\"><title>{}</title></rect>",
                escaped(tip)
            )
        }
    };
}

fn class(ink: Ink) -> Result<String, [u8; 3]> {
    match ink {
        Ink::Text => Ok("text".to_owned()),
        Ink::Muted => Ok("muted".to_owned()),
        Ink::Grid => Ok("grid".to_owned()),
        Ink::Diverged => Ok("diverged".to_owned()),
        Ink::Empty => Ok("empty".to_owned()),
        Ink::Paper => Ok("paper".to_owned()),
        Ink::Category(number) => Ok(format!("c{}", number % CATEGORIES.len())),
        Ink::Value(value) => Err(cividis(value)),
    }
}

fn fill(ink: Ink) -> String {
    match class(ink) {
        Ok(class) => format!("class=\"{class}\""),
        Err([r, g, b]) => format!("fill=\"#{r:02x}{g:02x}{b:02x}\""),
    }
}

fn stroke(ink: Ink) -> String {
    match class(ink) {
        Ok(class) => format!("class=\"s-{class}\""),
        Err([r, g, b]) => format!("stroke=\"#{r:02x}{g:02x}{b:02x}\""),
    }
}

/// A length to a tenth of a point: enough, and short.
fn short(length: f64) -> String {
    let text = format!("{:.1}", if length.abs() < 1.0 { (length * 100.0).round() / 100.0 } else { length });
    match length {
        length if length != 0.0 && length.abs() < 1.0 => format!("{length:.2}"),
        _ => text.strip_suffix(".0").map_or(text.clone(), str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_elements_and_inks_are_classes() {
        let mut figure = Figure::new("f", "<b>", "a & b".to_owned(), (10.0, 20.5));
        figure.text((1.0, 2.0), 12.0, Ink::Text, Anchor::End, "<img onerror=\"x\">");
        figure.dot((0.25, 3.0), 2.0, Ink::Value(1.0), "'tip' > 1");
        figure.line((0.0, 0.0), (1.0, 1.0), Ink::Category(1), 1.0);
        for svg in [inline(&figure), file(&figure)] {
            assert!(!svg.contains("<img") && !svg.contains("<b>"), "{svg}");
            assert!(svg.contains("&lt;img onerror=&quot;x&quot;&gt;") && svg.contains("a &amp; b"));
            assert!(svg.contains("class=\"text\" x=\"1\"") && svg.contains("class=\"s-c1\""));
            assert!(svg.contains("fill=\"#fee838\" cx=\"0.25\"") && svg.contains("viewBox=\"0 0 10 20.5\""));
        }
        assert!(file(&figure).contains("<style>") && !inline(&figure).contains("<style>"));
    }
}
