//! Durations and sizes as people write them in configuration and in provider rows.

use std::time::Duration;

/// The text is no duration or no size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("not a duration: write a whole number and ms, s, m, h or d, such as \"30s\" or \"12h\"")]
    Duration,
    /// Not a size.
    #[error("not a size: write a whole number and B, KiB, MiB, GiB, kB, MB or GB, such as \"10MiB\"")]
    Size,
}

/// Parses `250ms`, `30s`, `5m`, `12h`, `30d`.
///
/// # Errors
/// [`UnitError::Duration`] for anything else, and for more than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    const HUNDRED_YEARS_MS: u64 = 100 * 366 * 86_400_000;
    let (number, unit) = split(text).ok_or(UnitError::Duration)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(UnitError::Duration),
    };
    let millis = number.checked_mul(unit_ms).filter(|ms| *ms <= HUNDRED_YEARS_MS).ok_or(UnitError::Duration)?;
    Ok(Duration::from_millis(millis))
}

/// Parses `512B`, `64KiB`, `10MiB`, `1GB` into bytes.
///
/// # Errors
/// [`UnitError::Size`] for anything else, and for more bytes than this machine can address.
pub fn parse_size(text: &str) -> Result<usize, UnitError> {
    let (number, unit) = split(text).ok_or(UnitError::Size)?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(UnitError::Size),
    };
    let bytes = number.checked_mul(factor).ok_or(UnitError::Size)?;
    usize::try_from(bytes).map_err(|_| UnitError::Size)
}

/// A duration in the largest unit that shows it whole: `5m`, `90s`.
pub fn print_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(ms, _)| millis >= *ms && millis.is_multiple_of(*ms)) {
        Some((ms, unit)) => format!("{}{unit}", millis / ms),
        None => format!("{millis}ms"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_as_people_write_them() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("400d"), Ok(Duration::from_secs(400 * 86_400)));
        assert_eq!(parse_size("10MiB"), Ok(10 << 20));
        assert_eq!(parse_size("26 MiB"), Ok(26 << 20));
        for wrong in ["", "5", "m", "-5m", "5 weeks", "1.5h", "99999999999999999d"] {
            assert_eq!(parse_duration(wrong), Err(UnitError::Duration), "{wrong}");
        }
        assert_eq!(parse_size("10"), Err(UnitError::Size));
    }

    #[test]
    fn a_printed_duration_reads_back() {
        for text in ["5m", "90s", "12h", "30d", "1ms", "1500ms"] {
            assert_eq!(print_duration(parse_duration(text).unwrap()), text);
        }
    }
}
