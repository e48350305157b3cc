//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::meter::{BOUNDS, SIZE_BOUNDS, Total};

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label and its value.
pub type Label<'a> = (&'static str, &'a str);

/// A page of metrics in the making.
#[derive(Default)]
pub struct Exposition {
    text: String,
}

/// One metric; samples follow its head. A metric without a sample leaves nothing but its head.
pub struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// A number that only rises.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "counter", help)
    }

    /// A number that may fall.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "gauge", help)
    }

    /// How long things took, or how large they were.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, "histogram", help)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Metric { text: &mut self.text, name }
    }
}

impl Metric<'_> {
    /// One number.
    pub fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A histogram of durations.
    pub fn total(&mut self, labels: &[Label<'_>], total: &Total) {
        self.buckets(labels, total, &BOUNDS);
        self.line("_sum", labels, None, total.seconds());
        self.line("_count", labels, None, total.count());
    }

    /// A histogram of sizes.
    pub fn sizes(&mut self, labels: &[Label<'_>], total: &Total) {
        self.buckets(labels, total, &SIZE_BOUNDS);
        self.line("_sum", labels, None, total.bytes());
        self.line("_count", labels, None, total.count());
    }

    fn buckets(&mut self, labels: &[Label<'_>], total: &Total, bounds: &[impl Display]) {
        let mut below = 0;
        for (at, count) in total.buckets.iter().enumerate() {
            below += count;
            let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            self.line("_bucket", labels, Some(&bound), below);
        }
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<&str>, value: impl Display) {
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let name = self.name;
        match labels.is_empty() {
            true => put(self.text, format_args!("{name}{suffix} {value}\n")),
            false => put(self.text, format_args!("{name}{suffix}{{{}}} {value}\n", labels.join(","))),
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all that is written");
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pretty_assertions::assert_eq;

    use super::*;
    use crate::meter::Histogram;

    #[test]
    fn a_label_holds_anything_and_a_histogram_adds_up() {
        let mut page = Exposition::default();
        page.gauge("build_info", "Which.").sample(&[("version", "a\"b\\c\nd")], 1);
        let took = Histogram::default();
        took.observe(Duration::from_millis(20));
        took.observe(Duration::from_secs(600));
        page.histogram("took_seconds", "How long.").total(&[("route", "x")], &took.total());
        let page = page.finish();
        assert!(page.starts_with("# HELP build_info Which.\n# TYPE build_info gauge\n"), "{page}");
        for line in [
            r#"build_info{version="a\"b\\c\nd"} 1"#,
            r#"took_seconds_bucket{route="x",le="0.01"} 0"#,
            r#"took_seconds_bucket{route="x",le="0.025"} 1"#,
            r#"took_seconds_bucket{route="x",le="300"} 1"#,
            r#"took_seconds_bucket{route="x",le="+Inf"} 2"#,
            r#"took_seconds_sum{route="x"} 600.02"#,
            r#"took_seconds_count{route="x"} 2"#,
        ] {
            assert!(page.lines().any(|found| found == line), "no {line} in\n{page}");
        }
        assert_eq!(page.lines().filter(|line| line.contains("_bucket")).count(), BOUNDS.len() + 1);
    }
}
