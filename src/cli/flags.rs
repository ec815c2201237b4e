//! What the parsers and checks of several commands' flags share.

/// Parses a number above zero. NaN and infinity are refused, since a configuration is JSON and cannot hold them.
pub fn above_zero(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|value: &f64| *value > 0.0 && value.is_finite()).ok_or("a number above 0 is expected")
}

/// Returns an error that names the first of the flags that was given, if any was.
pub fn refuse(flags: &[(&str, bool)], why: &str) -> crate::Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(crate::Error::config(format!("{flag} {why}"))),
        None => Ok(()),
    }
}
