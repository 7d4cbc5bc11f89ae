//! The table and the plot.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, Vec<String>)>,
    /// For the plot: name, p50 and p99 in milliseconds.
    bars: Vec<(String, f64, f64)>,
}

impl Report {
    pub(crate) fn latency(&mut self, name: &str, mut all: Vec<Duration>) {
        all.sort_unstable();
        let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
        let (half, most, worst) = (at(0.5), at(0.99), at(1.0));
        self.bars
            .push((name.into(), half.as_secs_f64() * 1e3, most.as_secs_f64() * 1e3));
        self.rows.push((
            name.into(),
            vec![show(half), show(most), show(worst), all.len().to_string()],
        ));
    }

    pub(crate) fn value(&mut self, name: &str, value: f64, unit: &str) {
        self.rows.push((
            name.into(),
            vec![
                format!("{value:.1} {unit}"),
                String::new(),
                String::new(),
                String::new(),
            ],
        ));
    }

    pub(crate) fn size(&mut self, binary: &Path) -> Result<()> {
        self.value("binary", std::fs::metadata(binary)?.len() as f64 / 1e6, "MB");
        Ok(())
    }

    pub(crate) fn table(&self) -> String {
        let mut text =
            String::from("| what | p50 or value | p99 | worst | samples |\n| --- | --- | --- | --- | --- |\n");
        for (name, cells) in &self.rows {
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text
    }

    /// Bars on a logarithmic scale: p50 solid, p99 faint.
    pub(crate) fn plot(&self) -> String {
        let (left, width, line) = (430.0, 420.0, 26.0);
        let height = self.bars.len() as f64 * line + 50.0;
        let x = |millis: f64| left + ((millis.max(0.01).log10() + 2.0) / 7.0) * width;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
        );
        for power in -2..=4 {
            let at = x(10f64.powi(power));
            let _ = write!(
                svg,
                "<line x1=\"{at}\" x2=\"{at}\" y1=\"20\" y2=\"{}\" stroke=\"#ddd\"/><text x=\"{at}\" y=\"14\" text-anchor=\"middle\" fill=\"#666\">{} ms</text>",
                height - 10.0,
                10f64.powi(power)
            );
        }
        for (index, (name, half, most)) in self.bars.iter().enumerate() {
            let y = 28.0 + index as f64 * line;
            let name = name.replace('&', "&amp;").replace('<', "&lt;");
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{left}\" y=\"{y}\" height=\"16\" width=\"{}\" fill=\"#9cc4f0\"/>\
                 <rect x=\"{left}\" y=\"{y}\" height=\"16\" width=\"{}\" fill=\"#2563a8\"/>",
                left - 8.0,
                y + 12.0,
                (x(*most) - left).max(1.0),
                (x(*half) - left).max(1.0)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn show(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1000.0 {
        format!("{micros:.0} µs")
    } else {
        format!("{:.2} ms", micros / 1000.0)
    }
}
