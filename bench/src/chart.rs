//! A chart as SVG: horizontal bars with their values, one panel for each number. A pure function of what it shows.
//!
//! It has no background and brings its own colours for light and for dark: a page that shows it as an image gets the
//! ones that its reader prefers.

use std::fmt::Write as _;

/// One number of all subjects.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// The number and its unit.
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// A subject.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// Its length; what is no number or below zero has none.
    pub(crate) value: f64,
    /// The value as text, with its unit.
    pub(crate) shown: String,
    /// Ours stand out.
    pub(crate) is_ours: bool,
}

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 16.0;
/// Labels end here, bars begin.
const BARS_AT: f64 = 330.0;
/// Room for a value behind the longest bar.
const VALUE_WIDTH: f64 = 130.0;
const TITLE_HEIGHT: f64 = 34.0;
const PANEL_TITLE_HEIGHT: f64 = 28.0;
const BAR_STEP: f64 = 24.0;
const BAR_HEIGHT: f64 = 16.0;
/// What fits left of the bars; longer labels are cut.
const LABEL_CHARS: usize = 46;

const STYLE: &str = "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
                     .title{font-size:16px;font-weight:600}.panel{font-weight:600}.label{text-anchor:end}\
                     .theirs{fill:#8c959f}.ours{fill:#0969da}.axis{stroke:#8c959f}\
                     @media(prefers-color-scheme:dark){text{fill:#e6edf3}.theirs{fill:#6e7681}.ours{fill:#58a6ff}\
                     .axis{stroke:#6e7681}}";

/// The chart.
pub(crate) fn chart(title: &str, panels: &[Panel]) -> String {
    let panel_height = |panel: &Panel| PANEL_TITLE_HEIGHT + panel.bars.len() as f64 * BAR_STEP + MARGIN;
    let height = MARGIN + TITLE_HEIGHT + panels.iter().map(panel_height).sum::<f64>();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n<text class=\"title\" x=\"{MARGIN}\" y=\"{:.0}\">{title}</text>\n",
        MARGIN + 14.0,
        title = escaped(title),
    );
    let mut top = MARGIN + TITLE_HEIGHT;
    for panel in panels {
        draw(&mut svg, panel, top);
        top += panel_height(panel);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, top: f64) {
    let length = |bar: &Bar| if bar.value.is_finite() { bar.value.max(0.0) } else { 0.0 };
    let longest = panel.bars.iter().map(length).fold(0.0, f64::max);
    let room = WIDTH - BARS_AT - VALUE_WIDTH - MARGIN;
    line(
        svg,
        format_args!("<text class=\"panel\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>", top + 14.0, escaped(&panel.title)),
    );
    let first = top + PANEL_TITLE_HEIGHT;
    for (index, bar) in panel.bars.iter().enumerate() {
        let y = first + index as f64 * BAR_STEP;
        let width = if longest > 0.0 { (length(bar) / longest * room).max(1.0) } else { 1.0 };
        let (class, base) = (if bar.is_ours { "ours" } else { "theirs" }, y + BAR_HEIGHT - 3.5);
        let (label, value) = (escaped(&cut(&bar.label)), escaped(&bar.shown));
        line(svg, format_args!("<text class=\"label\" x=\"{:.0}\" y=\"{base}\">{label}</text>", BARS_AT - 8.0));
        line(
            svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{BARS_AT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
            ),
        );
        line(svg, format_args!("<text x=\"{:.1}\" y=\"{base}\">{value}</text>", BARS_AT + width + 6.0));
    }
    let end = first + panel.bars.len() as f64 * BAR_STEP - (BAR_STEP - BAR_HEIGHT) / 2.0;
    line(
        svg,
        format_args!("<line class=\"axis\" x1=\"{BARS_AT}\" x2=\"{BARS_AT}\" y1=\"{}\" y2=\"{end}\"/>", first - 4.0),
    );
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = writeln!(svg, "{text}");
}

fn cut(label: &str) -> String {
    if label.chars().count() <= LABEL_CHARS {
        return label.to_owned();
    }
    label.chars().take(LABEL_CHARS - 1).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64, shown: &str, is_ours: bool) -> Bar {
        Bar { label: label.to_owned(), value, shown: shown.to_owned(), is_ours }
    }

    fn widths(svg: &str) -> Vec<f64> {
        let rectangles = svg.lines().filter(|line| line.starts_with("<rect"));
        let width = |line: &str| {
            let (_, rest) = line.split_once("width=\"")?;
            rest.split('"').next()?.parse().ok()
        };
        rectangles.filter_map(width).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_inside_the_picture() {
        let title = "CPU per million, s".to_owned();
        let bars = vec![bar("halcyon", 1.5, "1.50 s", true), bar("Kafka Streams", 15.0, "15.0 s", false)];
        let svg = chart("peers", &[Panel { title, bars }]);
        let widths = widths(&svg);
        assert_eq!(widths.len(), 2);
        assert!((widths[1] / widths[0] - 10.0).abs() < 0.05, "{widths:?}");
        assert!(BARS_AT + widths[1] + VALUE_WIDTH <= WIDTH, "{widths:?}");
        assert_eq!(svg.matches("class=\"ours\"").count(), 1);
        for text in ["peers", "CPU per million, s", "halcyon", "1.50 s", "Kafka Streams", "15.0 s"] {
            assert!(svg.contains(&format!(">{text}</text>")), "{text} is missing in {svg}");
        }
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn nothing_that_is_shown_breaks_the_document() {
        let bars = vec![
            bar("a < b & \"c\"", f64::NAN, "-", false),
            bar(&"é".repeat(200), f64::INFINITY, ">", true),
            bar("less", -3.0, "-3.00", true),
        ];
        let svg =
            chart("<script>", &[Panel { title: "&".to_owned(), bars }, Panel { title: String::new(), bars: vec![] }]);
        assert!(svg.contains(">a &lt; b &amp; &quot;c&quot;</text>"));
        assert!(svg.contains("aria-label=\"&lt;script&gt;\""));
        assert!(svg.contains(&format!("{}…", "é".repeat(LABEL_CHARS - 1))));
        assert_eq!(widths(&svg), [1.0, 1.0, 1.0]);
        let opened = ["<text", "<style", "<svg"].map(|tag| svg.matches(tag).count());
        let closed = ["</text>", "</style>", "</svg>"].map(|tag| svg.matches(tag).count());
        assert_eq!(opened, closed);
    }

    #[test]
    fn one_picture_is_always_the_same() {
        let bars = vec![bar("one", 1.0, "1.00", true)];
        let svg = chart("t", &[Panel { title: "n".to_owned(), bars }]);
        let expected = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"118\" viewBox=\"0 0 860 118\" role=\"img\" \
             aria-label=\"t\">\n<style>{STYLE}</style>\n<text class=\"title\" x=\"16\" y=\"30\">t</text>\n\
             <text class=\"panel\" x=\"16\" y=\"64\">n</text>\n\
             <text class=\"label\" x=\"322\" y=\"90.5\">one</text>\n\
             <rect class=\"ours\" x=\"330\" y=\"78\" width=\"384.0\" height=\"16\" rx=\"2\"/>\n\
             <text x=\"720.0\" y=\"90.5\">1.00</text>\n\
             <line class=\"axis\" x1=\"330\" x2=\"330\" y1=\"74\" y2=\"98\"/>\n</svg>\n"
        );
        assert_eq!(svg, expected);
    }
}
