//! Where a configuration value was written.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The place of a value, for people: what `config show --origin` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A default of ours.
    BuiltIn,
    /// A default of a provider.
    Plugin(String),
    /// A place in a file; lines and columns count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
        /// The character in the line.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command line flag, with the key for `--set`.
    Flag(String),
    /// A member of a document that somebody sent.
    Member(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Plugin(provider) => write!(f, "plugin {provider}"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Member(member) => write!(f, "member {member}"),
        }
    }
}

/// One thing that configuration is read from.
pub(super) enum Source {
    /// Our defaults.
    BuiltIn,
    /// A file, with its text for excerpts.
    File(FileText),
    /// A variable.
    Environment(String),
    /// A flag.
    Flag(String),
    /// A member of a document.
    Member(String),
}

/// A file's text, the starts of its lines, and the parts that must not be shown.
pub(super) struct FileText {
    pub(super) path: PathBuf,
    text: String,
    lines: Vec<usize>,
    hidden: Vec<Range<usize>>,
}

impl FileText {
    pub(super) fn new(path: &Path, text: String, hidden: Vec<Range<usize>>) -> Self {
        let lines = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { path: path.to_owned(), text, lines, hidden }
    }

    /// Line and column of a byte offset, both from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// The line that `span` is in, with everything hidden blotted out.
    fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let (number, column) = self.place(span.start);
        let start = self.lines.get(number - 1).copied().unwrap_or(0);
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        let visible = |at: usize| !self.hidden.iter().any(|range| range.contains(&at));
        let line = self.text.get(start..end).unwrap_or_default().trim_end();
        let shown = line.char_indices().map(|(at, c)| match c {
            _ if !visible(start + at) => '•',
            '\t' => ' ',
            c if c.is_control() => '·',
            c => c,
        });
        let marked = self.text.get(span.start..span.end.min(end)).map_or(1, |text| text.chars().count());
        Excerpt { number, line: shown.collect(), column, width: marked.max(1) }
    }
}

/// A line of a file with a part of it marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) number: usize,
    pub(super) line: String,
    pub(super) column: usize,
    pub(super) width: usize,
}

impl Excerpt {
    /// Nothing of the line but the marked part.
    pub(super) fn marked_only(mut self) -> Self {
        let marked = self.column - 1..self.column - 1 + self.width;
        let blot = |(at, c): (usize, char)| if marked.contains(&at) || c == ' ' { c } else { '•' };
        self.line = self.line.chars().take(marked.end).enumerate().map(blot).collect();
        self.line.push_str(" …");
        self
    }
}

/// Where a key and its value are.
#[derive(Clone)]
pub(super) struct Position {
    pub(super) source: Arc<Source>,
    /// Bytes of the key; of the value itself for an element of an array.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Position {
    /// A position in something without lines.
    pub(super) fn whole(source: Arc<Source>) -> Self {
        Self { source, key: 0..0, value: 0..0 }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin_of(&self.key)
    }

    pub(super) fn origin_of(&self, span: &Range<usize>) -> Origin {
        match &*self.source {
            Source::BuiltIn => Origin::BuiltIn,
            Source::File(file) => {
                let (line, column) = file.place(span.start);
                Origin::File { path: file.path.clone(), line, column }
            }
            Source::Environment(name) => Origin::Environment(name.clone()),
            Source::Flag(flag) => Origin::Flag(flag.clone()),
            Source::Member(member) => Origin::Member(member.clone()),
        }
    }

    pub(super) fn excerpt_of(&self, span: &Range<usize>) -> Option<Excerpt> {
        match &*self.source {
            Source::File(file) => Some(file.excerpt(span)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn an_offset_becomes_line_and_column_in_characters() {
        let file = FileText::new(Path::new("c.toml"), "a = 1\nü = 2\n".into(), vec![]);
        assert_eq!(file.place(0), (1, 1));
        assert_eq!(file.place(6), (2, 1));
        assert_eq!(file.place("a = 1\nü ".len()), (2, 3));
    }

    #[test]
    fn an_excerpt_hides_what_is_secret() {
        let text = "a = { key = \"sk-123\" }\n";
        let at = text.find("\"sk").unwrap();
        let hidden = std::iter::once(at..at + 8).collect();
        let file = FileText::new(Path::new("c.toml"), text.into(), hidden);
        let excerpt = file.excerpt(&(0..1));
        assert_eq!(excerpt.line, "a = { key = •••••••• }");
        assert_eq!((excerpt.column, excerpt.width), (1, 1));
    }
}
