//! The best network: its first layer, what it confuses, where it is surest and wrong.

use std::fmt::Write as _;

use super::super::view::View;
use super::text::{base64, escaped, prose, section as whole};

fn image(png: &[u8], alt: &str, class: &str) -> String {
    format!("<img class=\"{class}\" alt=\"{}\" src=\"data:image/png;base64,{}\">", escaped(alt), base64(png))
}

/// The section.
pub fn section(view: &View<'_>) -> String {
    let Some(network) = &view.network else { return String::new() };
    let mut content = String::from("<div class=\"columns\">");
    if let Some(png) = &network.first_layer {
        let _ = write!(
            content,
            "<div><h3>First layer</h3>{}<p class=\"caption\">The weights of each hidden unit as an image, scaled by itself.</p></div>",
            image(png, "The weights of each hidden unit as a small image", "weights")
        );
    }
    if let Some(confusion) = &network.confusion {
        let _ = write!(
            content,
            "<div><h3>Confusion matrix</h3>{}<p class=\"caption\">Rows: what an image is, columns: what it is taken for, \
            in per cent of the row; validation split.</p></div>",
            matrix(confusion, &network.classes)
        );
    }
    content += "</div>";
    if !network.worst.is_empty() {
        content += "<h3>Surest and wrong</h3><div class=\"worst\">";
        for (png, is, taken_for, probability) in &network.worst {
            let (is, taken_for) = (&network.classes[*is], &network.classes[*taken_for]);
            let text = format!("{is}, taken for {taken_for}, {:.0} %", 100.0 * probability);
            let _ = write!(
                content,
                "<figure>{}<figcaption>{}</figcaption></figure>",
                image(png, &text, "pixels"),
                escaped(&text)
            );
        }
        content += "</div>";
    }
    whole("network", "The best network", &prose(&network.note), &content)
}

fn matrix(confusion: &[Vec<usize>], classes: &[String]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table class=\"confusion\"><thead><tr><th></th>");
    for name in classes {
        let _ = write!(html, "<th class=\"turned\"><span>{}</span></th>", escaped(name));
    }
    html += "</tr></thead><tbody>";
    for (row, counts) in confusion.iter().enumerate() {
        let all = counts.iter().sum::<usize>().max(1);
        let _ = write!(html, "<tr><th class=\"word\">{}</th>", escaped(&classes[row]));
        for (column, count) in counts.iter().enumerate() {
            let share = *count as f64 / all as f64;
            // Shades in tenths: no style stands in an element.
            let shade = (10.0 * share).ceil() as usize;
            let right = if row == column { " right" } else { "" };
            let _ = write!(html, "<td class=\"shade{shade}{right}\">{:.0}</td>", 100.0 * share);
        }
        html += "</tr>";
    }
    html + "</tbody></table></div>"
}
