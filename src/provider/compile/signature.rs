//! One way to sign, as written and as read.

use super::{DEFAULT_TOLERANCE, RowError, header_name, named, template, templates, want, wants};
use crate::domain::parse_duration;
use crate::provider::locator::Locator;
use crate::provider::model::{Algorithm, Encoding, Items, JwtRule, Naming, Place, Signature, TimestampRule, TimestampUnit};
use crate::provider::published::{Published, PublishedForm};
use crate::provider::row::{PublishedRow, Row, SignatureRow, TimestampRow};
use crate::provider::template::Template;

/// Reads one way to sign.
pub(super) fn signature(written: &SignatureRow, row: &Row) -> Result<Signature, RowError> {
    let algorithm = named("signature.algorithm", written.algorithm.as_deref(), Algorithm::HmacSha256, Algorithm::NAMES)?;
    let encodings = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
    let signed = written.signed.as_deref().or(row.signed.as_deref()).unwrap_or("{body}");
    let signature = Signature {
        place: place(written, algorithm)?,
        algorithm,
        encoding: named("signature.encoding", written.encoding.as_deref(), Encoding::Hex, &encodings)?,
        prefix: written.prefix.clone().unwrap_or_default(),
        prefix_optional: written.prefix_optional,
        items: items(written)?,
        secret: written.secret,
        jwt: jwt(written, algorithm)?,
        signed: template("signed", signed)?,
        timestamp: written.timestamp.as_ref().or(row.timestamp.as_ref()).map(timestamp).transpose()?,
        when: wants("signature.when", &written.when)?,
        require: require(written)?,
        each: each(written)?,
        item_when: wants("signature.item_when", &written.item_when)?,
        prehash: named("signature.prehash", written.prehash.as_deref(), false, &[("sha256", true)])?,
        components: components(written, algorithm)?,
        published: written.published.as_ref().map(published).transpose()?,
    };
    check_signed(&signature)?;
    check_shape(&signature)?;
    Ok(signature)
}

/// What is signed must be there before the signature is checked: the body is read as JSON first only where the signature
/// itself stands in it.
fn check_signed(signature: &Signature) -> Result<(), RowError> {
    let signed = signature.signed.locators();
    let in_body = signature.is_in_body();
    if !in_body && signed.iter().any(|place| place.json_pointer().is_some()) {
        return Err(RowError::new(
            "signed",
            "a JSON value cannot be signed by itself: nothing is read from the body before its signature holds",
        ));
    }
    if signed.contains(&&Locator::Secret) != (signature.algorithm == Algorithm::Sha256) {
        return Err(RowError::new("signed", "{secret} stands in what is hashed by algorithm = \"sha256\", and nowhere else"));
    }
    match (&signature.timestamp, signed.contains(&&Locator::Timestamp)) {
        (None, true) => Err(RowError::new("signed", "{timestamp} is signed, so `timestamp` must say where it is")),
        (Some(rule), true) if !in_body && rule.from.json_pointer().is_some() => Err(RowError::new(
            "timestamp.from",
            "{timestamp} is signed, so it cannot stand in the body, which is read only once its signature holds",
        )),
        _ => Ok(()),
    }
}

fn place(written: &SignatureRow, algorithm: Algorithm) -> Result<Place, RowError> {
    match (&written.header, &written.from, algorithm) {
        (None, None, Algorithm::None) => Ok(Place::Nowhere),
        (Some(header), None, _) => match header.strip_suffix('*') {
            Some(family) => header_name("signature.header", family).map(Place::Headers),
            None => header_name("signature.header", header).map(Place::Header),
        },
        (None, Some(from), _) => match Locator::parse(from).map_err(|e| RowError::new("signature.from", e))? {
            Locator::Header(name) => Ok(Place::Header(name)),
            Locator::Query(name) => Ok(Place::Query(name)),
            Locator::Json(pointer) => Ok(Place::Json(pointer)),
            Locator::Form(name) => Ok(Place::Form(name)),
            other => Err(RowError::new("signature.from", format!("no signature stands in the {other}: write header, query, json or form"))),
        },
        _ => Err(RowError::new("signature.header", "name the header that carries the signature: header = \"X-Signature\"")),
    }
}

fn items(written: &SignatureRow) -> Result<Option<Items>, RowError> {
    let wrong = |message: &str| Err(RowError::new("signature.list", message));
    let Some(separator) = written.list.clone().filter(|separator| !separator.is_empty()) else {
        let bare = written.pair.is_none() && written.take.is_empty() && written.positions.is_empty() && written.sets.is_none();
        return if bare { Ok(None) } else { wrong("`pair`, `positions`, `sets` and `take` need `list`, the separator between items") };
    };
    if written.take.is_empty() {
        return wrong("a list needs `take`, the names of its signatures");
    }
    let naming = match (&written.pair, written.positions.is_empty()) {
        (Some(pair), true) if !pair.is_empty() => Naming::Pair(pair.clone()),
        (None, false) => Naming::Positions(written.positions.clone()),
        _ => return wrong("a list needs `pair`, the separator inside an item, or `positions`, the names of its items in order"),
    };
    let take = written.take.iter().map(|text| want(text)).collect();
    Ok(Some(Items { sets: written.sets.clone(), separator, naming, take }))
}

fn jwt(written: &SignatureRow, algorithm: Algorithm) -> Result<Option<JwtRule>, RowError> {
    let row = match (&written.jwt, algorithm) {
        (Some(row), Algorithm::Jwt) => row,
        (None, Algorithm::Jwt) => return Err(RowError::new("signature.jwt", "algorithm = \"jwt\" needs `jwt`, what the token must say")),
        (Some(_), _) => return Err(RowError::new("signature.jwt", "goes with algorithm = \"jwt\" only")),
        (None, _) => return Ok(None),
    };
    let algorithms = row
        .algorithms
        .iter()
        .map(|name| name.parse().map_err(|_| RowError::new("signature.jwt.algorithms", format!("\"{name}\" is none"))));
    let claims = row.claims.iter().map(|(name, texts)| Ok((name.clone(), templates("signature.jwt.claims", texts)?)));
    let rule = JwtRule {
        algorithms: algorithms.collect::<Result<Vec<_>, _>>()?,
        claims: claims.collect::<Result<_, _>>()?,
        without_body: row.without_body.clone(),
        times: row.times.clone(),
        detached: row.detached,
    };
    match rule.algorithms.is_empty() {
        true => Err(RowError::new("signature.jwt.algorithms", "name the algorithms that the sender signs with")),
        false => Ok(Some(rule)),
    }
}

fn timestamp(written: &TimestampRow) -> Result<TimestampRule, RowError> {
    let units = [
        ("s", TimestampUnit::Seconds),
        ("ms", TimestampUnit::Millis),
        ("s-or-ms", TimestampUnit::SecondsOrMillis),
        ("rfc3339", TimestampUnit::Rfc3339),
        ("http-date", TimestampUnit::HttpDate),
    ];
    let tolerance = written.tolerance.as_deref().map(parse_duration).transpose().map_err(|e| RowError::new("timestamp.tolerance", e))?;
    Ok(TimestampRule {
        from: Locator::parse(&written.from).map_err(|e| RowError::new("timestamp.from", e))?,
        unit: named("timestamp.unit", written.unit.as_deref(), TimestampUnit::Seconds, &units)?,
        tolerance: tolerance.unwrap_or(DEFAULT_TOLERANCE),
    })
}

fn require(written: &SignatureRow) -> Result<Vec<(Locator, Template)>, RowError> {
    let read = |(place, text): (&String, &String)| {
        let place = Locator::parse(place).map_err(|e| RowError::new("signature.require", e))?;
        Ok((place, template("signature.require", text)?))
    };
    written.require.iter().map(read).collect()
}

fn each(written: &SignatureRow) -> Result<Option<String>, RowError> {
    match &written.each {
        Some(pointer) if !(pointer.is_empty() || pointer.starts_with('/')) => {
            Err(RowError::new("signature.each", "write the array's JSON pointer, such as \"/items\""))
        }
        other => Ok(other.clone()),
    }
}

fn components(written: &SignatureRow, algorithm: Algorithm) -> Result<Option<Vec<String>>, RowError> {
    let Some(components) = &written.components else { return Ok(None) };
    let wrong = |message: &str| Err(RowError::new("signature.components", message));
    if !matches!(algorithm, Algorithm::HmacSha256 | Algorithm::Ed25519 | Algorithm::RsaSha256) {
        return wrong("HTTP Message Signatures are made by hmac-sha256, ed25519 or rsa-sha256 here");
    }
    if components.is_empty() || written.list.is_some() || written.signed.is_some() {
        return wrong("name the components that must be signed, without `list` and `signed`: the request says what is signed");
    }
    Ok(Some(components.iter().map(|name| name.to_ascii_lowercase()).collect()))
}

fn published(written: &PublishedRow) -> Result<Published, RowError> {
    let form = written.form.as_deref().map_or(Some(PublishedForm::Certificate), PublishedForm::parse);
    let published = Published {
        url: template("signature.published.url", &written.url)?,
        hosts: written.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        path: written.path.clone(),
        names: written.names.clone(),
        form: form.ok_or_else(|| RowError::new("signature.published.form", "write certificate, jwks, pem or json:/pointer"))?,
    };
    match published.url.locators().is_empty() || !published.hosts.is_empty() {
        true => Ok(published),
        false => Err(RowError::new("signature.published.hosts", "the URL comes out of the request, so name the hosts that it may lead to")),
    }
}

/// What goes together and what does not.
fn check_shape(signature: &Signature) -> Result<(), RowError> {
    let reads_json = |place: &Locator| place.json_pointer().is_some();
    if signature.each.is_some() && !matches!(signature.place, Place::Json(_)) {
        return Err(RowError::new("signature.each", "goes with a signature in the body: from = \"json:/pointer\""));
    }
    if signature.each.is_none() && !signature.item_when.is_empty() {
        return Err(RowError::new("signature.item_when", "goes with `each`, whose items it speaks of"));
    }
    if signature.prehash && !signature.algorithm.is_public() {
        return Err(RowError::new("signature.prehash", "goes with a public key: ed25519, ecdsa-p256-sha256 or rsa-*"));
    }
    if !signature.is_in_body() && signature.when.iter().any(|(place, _)| reads_json(place)) {
        return Err(RowError::new(
            "signature.when",
            "a JSON value cannot choose: nothing is read from the body before its signature holds",
        ));
    }
    match &signature.published {
        Some(rule) if !signature.is_in_body() && rule.url.locators().into_iter().any(reads_json) => {
            Err(RowError::new("signature.published.url", "nothing is read from the body before its signature holds"))
        }
        Some(rule) if (rule.form == PublishedForm::JwkSet) != (signature.algorithm == Algorithm::Jwt) => {
            Err(RowError::new("signature.published.form", "a JWK set goes with algorithm = \"jwt\", a certificate or PEM with the others"))
        }
        _ => Ok(()),
    }
}
