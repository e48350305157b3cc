//! Lists in hints: as many names as a person reads.

/// More than this nobody looks through, and ten thousand would be a page of their own.
const MOST: usize = 20;

/// `a, b, c`; of many the first, and how many more there are.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first = names.by_ref().take(MOST).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn few_names_are_all_told_and_of_many_the_first() {
        assert_eq!(listed([]), "");
        assert_eq!(listed(["a", "b"]), "a, b");
        let names: Vec<String> = (0..10_000).map(|n| format!("c{n}")).collect();
        let told = listed(names.iter().map(String::as_str));
        assert!(told.starts_with("c0, c1, ") && told.ends_with(", c19 and 9980 more"), "{told}");
    }
}
