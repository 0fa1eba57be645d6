//! Numbers formatted for people.

/// A number with at most four significant digits, in scientific notation where plain digits would be long.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.1e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{power}", trimmed(digits.to_string()))
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        trimmed(format!("{value:.digits$}"))
    }
}

/// A decimal number without trailing zeros of the fraction.
pub fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// A fraction in percent.
pub fn percent(share: f64) -> String {
    format!("{}\u{202f}%", trimmed(format!("{:.1}", 100.0 * share)))
}

/// A duration in seconds, minutes and hours.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{} s", trimmed(format!("{seconds:.1}"))),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// An integer with thin spaces between thousands.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number with its sign, with a real minus.
pub fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        let shown = [0.0, 1.0, 0.12345, 12.3456, 987.65, 12345.6, 0.00012, -0.5, 3.0e9].map(short);
        assert_eq!(shown, ["0", "1", "0.1235", "12.35", "987.6", "12346", "1.2e-4", "-0.5", "3e9"]);
        assert_eq!(
            (duration(3.25), duration(75.2), duration(7384.0)),
            ("3.2 s".into(), "1 min 15 s".into(), "2 h 3 min".into())
        );
        assert_eq!((count(12), count(1234567)), ("12".into(), "1\u{202f}234\u{202f}567".into()));
        assert_eq!((signed(-0.25), percent(0.125)), ("\u{2212}0.250".into(), "12.5\u{202f}%".into()));
    }
}
