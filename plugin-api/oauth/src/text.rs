//! Texts of a peer that a person gets to see.

/// Enough for a sentence, too little to flood a terminal.
const MAX_CHARS: usize = 200;

/// The first line, without what moves a terminal's cursor or turns text around, cut to one sentence.
///
/// Control characters (C0, C1, ESC) are how git's CVE-2024-52005 was used; bidirectional marks make
/// one address look like another.
pub fn line(text: &str) -> String {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let mut shown: String = first.chars().filter(|c| !c.is_control() && !is_directional(*c)).collect();
    if let Some((cut, _)) = shown.char_indices().nth(MAX_CHARS) {
        shown.truncate(cut);
        shown.push('…');
    }
    shown.trim_end().to_owned()
}

fn is_directional(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn one_line_without_control_and_direction_characters() {
        assert_eq!(line("\r\n first\u{1b}[31m\u{9b}red \r\nsecond"), "first[31mred");
        assert_eq!(line("abc\u{202e}fed\u{2066}"), "abcfed");
        assert_eq!(line(""), "");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = line(&"é".repeat(500));
        assert_eq!(cut.chars().count(), MAX_CHARS + 1);
        assert!(cut.ends_with('…'));
    }
}
