//! SQL's LIKE.

/// `%` is any text, `_` any character. Takes time in proportion to both lengths at most.
pub(super) fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last % stands, and how much of the text it took.
    let mut open: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(place) {
            Some('%') => {
                open = Some((place, at));
                place += 1;
            }
            Some(c) if *c == '_' || *c == text[at] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((percent, taken)) = open else { return false };
                open = Some((percent, taken + 1));
                at = taken + 1;
                place = percent + 1;
            }
        }
    }
    pattern[place..].iter().all(|c| *c == '%')
}
