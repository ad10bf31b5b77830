//! Texts into HTML: whatever stands in them, it stays text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A text inside an element or an attribute in quotes.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, letter| {
        match letter {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
        html
    })
}

/// JSON inside a `script` element: nothing in it can end the element.
pub fn script_data(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Bytes as base64, with padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A section of the page: its heading, a line on what it shows and how that was computed, its content. All but the first two are HTML.
pub fn section(id: &str, title: &str, caption: &str, content: &str) -> String {
    let caption = if caption.is_empty() { String::new() } else { format!("<p class=\"caption\">{caption}</p>") };
    format!("<section id=\"{id}\"><h2>{}</h2>{caption}{content}</section>\n", escaped(title))
}

/// A table of plain texts; the first `words` columns are words, the others numbers.
pub fn table(head: &[&str], rows: &[Vec<String>], words: usize) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    let class = |column: usize| if column < words { " class=\"word\"" } else { "" };
    for (column, name) in head.iter().enumerate() {
        let _ = write!(html, "<th{}>{}</th>", class(column), escaped(name));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(column), escaped(cell));
        }
        html.push_str("</tr>");
    }
    html + "</tbody></table></div>"
}

/// A text to be copied, with a button.
pub fn copyable(id: &str, what: &str, text: &str) -> String {
    format!(
        "<div class=\"copy\"><div class=\"copy-head\"><span>{}</span><button type=\"button\" class=\"alive\" data-copy=\"{id}\">Copy</button></div>\
         <pre id=\"{id}\">{}</pre></div>",
        escaped(what),
        escaped(text)
    )
}

/// A text inside an element, with what stands between backticks as code.
pub fn prose(text: &str) -> String {
    let parts = text.split('`').map(escaped).enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part }).collect()
}

/// A number with its noun: `1 trial`, `2 trials`, `12,000 trials`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A number with commas.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_make_code_and_everything_is_escaped() {
        assert_eq!(prose("a < b: `mlpgrid report A&B`."), "a &lt; b: <code>mlpgrid report A&amp;B</code>.");
    }

    #[test]
    fn numbers_have_commas_and_nouns_their_number() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "trial"), count(2, "trial")), ("1 trial".to_owned(), "2 trials".to_owned()));
    }

    #[test]
    fn no_text_ends_its_element() {
        assert_eq!(escaped("<a b='c' d=\"e\">&"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
        assert_eq!(script_data("\"</script>\u{2028}\""), "\"\\u003c/script>\\u2028\"");
    }
}
