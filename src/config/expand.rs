//! `${VAR}` and `${VAR:-default}` in a string. `$${` stands for a literal `${`; what a variable holds is not expanded
//! again.

use super::load::Env;

/// A string that cannot be expanded. Repeats nothing of it but the variable's name, because a secret may be around it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    /// No such variable, and no default.
    #[error("the variable {0} is not set; set it, or write ${{{0}:-default}}")]
    Unset(String),
    /// `${` without `}`.
    #[error("\"${{\" without \"}}\"; a literal \"${{\" is written \"$${{\"")]
    Unterminated,
    /// Something that is no variable's name.
    #[error("write ${{NAME}} or ${{NAME:-default}} with a name of letters, digits and _; a literal \"${{\" is written \"$${{\"")]
    Name,
}

/// Expands every variable in `text`. As in a shell, the default of `:-` also stands in for a variable that is empty.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let (variable, after) = rest[at + 2..].split_once('}').ok_or(ExpandError::Unterminated)?;
        expanded.push_str(&value(variable, env)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(variable: &str, env: Env<'_>) -> Result<String, ExpandError> {
    let (name, default) = match variable.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (variable, None),
    };
    if !is_name(name) {
        return Err(ExpandError::Name);
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandError::Unset(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("t0ken".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${TOKEN} $${".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_expand_once_and_defaults_stand_in() {
        let cases = [
            ("", ""),
            ("plain $TOKEN $ {}", "plain $TOKEN $ {}"),
            ("a${TOKEN}b${TOKEN}", "at0kenbt0ken"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${TOKEN:-x}", "t0ken"),
            ("${NESTED}", "${TOKEN} $${"),
            ("$${TOKEN}", "${TOKEN}"),
            ("$$${TOKEN}", "$${TOKEN}"),
            ("ü$${ü${TOKEN}", "ü${üt0ken"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error() {
        assert_eq!(expand("${NONE}", &env), Err(ExpandError::Unset("NONE".into())));
        assert_eq!(expand("${TOKEN", &env), Err(ExpandError::Unterminated));
        for wrong in ["${}", "${1A}", "${A B}", "${:-x}", "${A-x}"] {
            assert_eq!(expand(wrong, &env), Err(ExpandError::Name), "{wrong}");
        }
        assert_eq!(expand("${NONE}", &env).unwrap_err().to_string(), "the variable NONE is not set; set it, or write ${NONE:-default}");
        assert!(expand("${", &env).unwrap_err().to_string().contains("a literal \"${\" is written \"$${\""));
    }

    proptest::proptest! {
        #[test]
        fn any_text_expands_or_is_an_error(text in r"([$]{0,3}[{}A-Z:\-ü ]{0,3}){0,12}") {
            let _ = expand(&text, &env);
        }
    }
}
