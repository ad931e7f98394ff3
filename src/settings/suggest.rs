//! "Did you mean": the known name nearest to a misspelt one.

/// The nearest of `known`, unless all of them are too far to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let farthest = (word.chars().count() / 3).clamp(1, 3);
    let distances = known.into_iter().map(|name| (distance(word, name), name));
    distances.min().filter(|(distance, _)| *distance <= farthest).map(|(_, name)| name)
}

/// Levenshtein distance: insertions, deletions and replacements of one character.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(x != *y);
            next.push(replaced.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_nearest_known_one() {
        assert_eq!(nearest("window", ["panes", "windows", "lateness"]), Some("windows"));
        assert_eq!(nearest("latness", ["panes", "windows", "lateness"]), Some("lateness"));
        assert_eq!(nearest("colour", ["panes", "windows", "lateness"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
