//! How numbers are read and written: one form on the command line, in sweep files and in what identities are hashes of.

/// What a whole number must be, for messages.
pub const WHOLE: &str = "a whole number, 0 or more";

/// The shortest decimal text that reads back as `value`, as JSON and TOML write it: `0.001`, `1000.0`, `1e-6`, `1.5e+20`. Zero has no
/// sign.
///
/// The identity of a trial is a hash of this text, so it is written here and by no library: another form would change all of them.
pub fn text(value: f64) -> String {
    if value == 0.0 {
        return "0.0".to_owned();
    }
    let scientific = shortest(value);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific }; // no finite number
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let after_the_first = digits.len() as i32 - 1;
    match exponent {
        -5..0 => format!("{sign}0.{}{digits}", "0".repeat(-exponent as usize - 1)),
        0..=15 if exponent < after_the_first => {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            format!("{sign}{whole}.{fraction}")
        }
        0..=15 => format!("{sign}{digits}{}.0", "0".repeat((exponent - after_the_first) as usize)),
        _ => format!("{sign}{mantissa}e{exponent:+}"),
    }
}

/// A cell of a table: the value as Rust prints it, or nothing.
pub fn or_empty(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// The fewest digits that read back as `value`, and of those the nearest to it, as `-1.25e-7`.
fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    // Of two that are equally near, Rust takes the larger one here, and the even one where the number of digits is given.
    let digits = text.bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count();
    let even = format!("{value:.*e}", digits.saturating_sub(1));
    if even.parse() == Ok(value) { even } else { text }
}

/// The whole number that `text` is, in any decimal form: `1000`, `1e3` and `1000.0` are one. None where it has a fraction, is negative
/// or does not fit 64 bits. It is read digit by digit: no bit of a large one is lost in a float.
pub fn whole(text: &str) -> Option<u64> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let text = if is_negative { text } else { text.strip_prefix('+').unwrap_or(text) };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [before, after].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0); // -0 is 0
    }
    let zeros_cut_off = digits.len() - digits.trim_end_matches('0').len();
    let zeros = exponent.checked_add(zeros_cut_off as i64)?.checked_sub(after.len() as i64)?;
    let factor = 10_u64.checked_pow(u32::try_from(zeros).ok()?)?;
    (!is_negative).then_some(significant.parse::<u64>().ok()?.checked_mul(factor)?)
}

/// The number that `text` is. Zero has no sign. None where it is no number, or one that 64 bits round to infinity or to nothing.
pub fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_lost = match value {
        0.0 => mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)),
        _ => value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()),
    };
    (!is_lost).then_some(value + 0.0) // -0 + 0 is 0
}

/// A whole number on the command line.
///
/// # Errors
/// It is none, or does not fit the type; the text is what would.
pub fn parse_whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    whole(text).and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("expected {WHOLE}"))
}

/// A number on the command line. What is not finite passes, and is refused by name where ranges are checked.
///
/// # Errors
/// It is none, or too large or too small for 64 bits.
pub fn parse_number(text: &str) -> Result<f64, String> {
    number(text).ok_or_else(|| "expected a number that 64 bits can hold".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What identities were hashes of until this module wrote the numbers.
    fn as_serde_json_writes(value: f64) -> String {
        serde_json::Value::from(value).to_string()
    }

    #[test]
    fn a_number_is_written_as_it_always_was() {
        for (value, text) in [
            (0.001, "0.001"),
            (1000.0, "1000.0"),
            (1e-6, "1e-6"),
            (1.5e20, "1.5e+20"),
            (-2.5e-7, "-2.5e-7"),
            (0.95, "0.95"),
        ] {
            assert_eq!(super::text(value), text);
        }
        let mantissas = [1.0, 1.5, 2.0, 3.3, 9.999999999999999, 1.234567890123456, 7.0, 0.1 + 0.2, 123.456];
        for mantissa in mantissas {
            for exponent in -330..309 {
                let value: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
                if value != 0.0 && value.is_finite() {
                    assert_eq!(text(value), as_serde_json_writes(value));
                    assert_eq!(text(-value), as_serde_json_writes(-value));
                }
            }
        }
        // Where neighbours are at unequal distances, and the smallest and largest.
        for exponent in 0..2046_u64 {
            for step in [-2_i64, -1, 0, 1, 2] {
                let value = f64::from_bits((exponent << 52).saturating_add_signed(step));
                if value != 0.0 {
                    assert_eq!(text(value), as_serde_json_writes(value));
                }
            }
        }
        // Two texts of as few digits are equally near to the last two: the even one.
        let ties = [1_607_249_701_425_401.0, 1_607_249_701_425_403.0].map(|eighths| eighths / 8.0);
        for value in [f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1)].into_iter().chain(ties) {
            assert_eq!(text(value), as_serde_json_writes(value));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn any_number_is_written_as_it_always_was_and_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() && value != 0.0 {
                prop_assert_eq!(text(value), as_serde_json_writes(value));
                prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        #[test]
        fn numbers_of_few_digits_are_written_as_they_always_were(digits in -99_999_i64..99_999, exponent in -30_i32..30) {
            let value: f64 = format!("{digits}e{exponent}").parse().unwrap();
            if value != 0.0 {
                prop_assert_eq!(text(value), as_serde_json_writes(value));
            }
        }

        #[test]
        fn a_whole_number_is_the_same_in_every_form(value in any::<u64>(), zeros in 0_usize..25) {
            prop_assert_eq!(whole(&value.to_string()), Some(value));
            prop_assert_eq!(whole(&format!("{value}.{}", "0".repeat(zeros))), Some(value));
            prop_assert_eq!(whole(&format!("{value}{}e-{zeros}", "0".repeat(zeros))), Some(value));
            let digits = value.to_string();
            let (first, rest) = digits.split_at(1);
            prop_assert_eq!(whole(&format!("{first}.{rest}e{}", rest.len())), Some(value));
        }
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(text(-0.0), "0.0");
        assert_eq!(number("-0.0").unwrap().to_bits(), 0.0_f64.to_bits());
        assert_eq!((whole("-0"), whole("-0.0e5"), whole("0e99999999999")), (Some(0), Some(0), Some(0)));
    }

    #[test]
    fn what_is_no_whole_number_is_none() {
        for text in ["", "-", "+", ".", "e3", "1.5", "1e-1", "-1", "-1e3", "1e20", "18446744073709551616", "1e", "0x10"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
        for text in ["1_000", "+-1", "-+0", "1e99999999999999999999", "inf", "nan", "1 ", " 1", "12a"] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(whole("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole("+9007199254740993.0"), Some((1 << 53) + 1), "no float could hold it");
    }

    #[test]
    fn a_number_that_64_bits_round_to_infinity_or_to_nothing_is_none() {
        assert_eq!((number("1e400"), number("1e-400"), number("-1e400"), number("x")), (None, None, None, None));
        assert_eq!((number("0e400"), number("inf"), number("5e-324")), (Some(0.0), Some(f64::INFINITY), Some(5e-324)));
        assert!(number("nan").is_some_and(f64::is_nan));
    }
}
