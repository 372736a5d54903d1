//! The source is set up rightly, and something changed the request on its way: body, URL, headers, the signature's notation.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;

#[track_caller]
fn body_is_found(signed: impl AsRef<[u8]>, came: impl AsRef<[u8]>, expected: &str) {
    says(&explained(GITHUB, &[], &github_changed(signed, came)), &["it holds for the ", expected]);
}

#[test]
fn line_ends_white_space_and_byte_order_marks_are_found() {
    body_is_found("{\"a\":1}", "{\"a\":1}\n", "body without the line end at its end");
    body_is_found("{\"a\":1}", "{\"a\":1}\r\n", "body without the line end at its end");
    body_is_found("{\"a\":1}\n", "{\"a\":1}", "body with a line end behind it");
    body_is_found("{\"a\":1}\r\n", "{\"a\":1}", "body with a line end (CR LF) behind it");
    body_is_found("{\"a\":1}", " {\"a\":1} ", "body without the white space around it");
    body_is_found("\u{feff}{\"a\":1}", "{\"a\":1}", "body with a byte order mark before it");
    body_is_found("{\"a\":1}", "\u{feff}{\"a\":1}", "body without its byte order mark");
    body_is_found("{\r\n\"a\": 1\r\n}", "{\n\"a\": 1\n}", "body with CR LF for LF");
    body_is_found("{\n\"a\": 1\n}", "{\r\n\"a\": 1\r\n}", "body with LF for CR LF");
}

#[test]
fn another_character_set_and_another_wrapping_are_found() {
    body_is_found(b"name=M\xfcller", "name=Müller", "body in Latin-1 rather than UTF-8");
    body_is_found("name=Müller", b"name=M\xfcller", "body in UTF-8 rather than Latin-1");
    body_is_found("name=Müller", "name=MÃ¼ller", "body in Latin-1 rather than UTF-8");
    body_is_found("", "{\"a\":1}", "body if that is empty");
    body_is_found("{\"a\":1}", STANDARD.encode("{\"a\":1}"), "body decoded from base64");
    body_is_found("{\"a\":1}", "\"{\\\"a\\\":1}\"", "body taken out of a JSON string");
    body_is_found("\"{\\\"a\\\":1}\"", "{\"a\":1}", "body put into a JSON string");
}

#[test]
fn json_that_was_written_anew_is_found_in_the_styles_of_common_writers() {
    let compact = r#"{"b":[1.0,true,null],"a":{"url":"https://é.test/<x>","😀":"\n"},"e":[],"f":{}}"#;
    let python = r#"{"b": [1.0, true, null], "a": {"url": "https://\u00e9.test/<x>", "\ud83d\ude00": "\n"}, "e": [], "f": {}}"#;
    let sorted = r#"{"a": {"url": "https://\u00e9.test/<x>", "\ud83d\ude00": "\n"}, "b": [1.0, true, null], "e": [], "f": {}}"#;
    let php = r#"{"b":[1.0,true,null],"a":{"url":"https:\/\/\u00e9.test\/<x>","\ud83d\ude00":"\n"},"e":[],"f":{}}"#;
    let go = "{\"b\":[1.0,true,null],\"a\":{\"url\":\"https://é.test/\\u003cx\\u003e\",\"😀\":\"\\n\"},\"e\":[],\"f\":{}}\n";
    let pretty = "{\n  \"b\": [\n    1.0,\n    true,\n    null\n  ],\n  \"a\": {\n    \"url\": \"https://é.test/<x>\",\n    \"😀\": \"\\n\"\n  },\n  \"e\": [],\n  \"f\": {}\n}";
    let cases = [
        (compact, python, "body as compact JSON"),
        (compact, pretty, "body as compact JSON"),
        (compact, php, "body as compact JSON"),
        (python, compact, "body as JSON with a space behind commas and colons, as Python writes it, all beyond ASCII escaped"),
        (sorted, compact, "its keys sorted"),
        (php, compact, "body as compact JSON, slashes and all beyond ASCII escaped, as PHP writes it"),
        (go, compact, "body as compact JSON, <, > and & escaped, as Go writes it, with a line end behind it"),
        (pretty, compact, "body as JSON indented by two spaces"),
    ];
    for (signed, came, expected) in cases {
        body_is_found(signed, came, expected);
    }
}

#[test]
fn a_form_that_was_encoded_anew_is_found() {
    body_is_found("a=x+y&b=%c3%a9", "a=x%20y&b=%C3%A9", "form with + for %20 and its escapes in lower case");
    body_is_found("a=x+y&b=1", "a=x%20y&b=1", "form with + for %20");
    body_is_found("a=x%20y&b=1", "a=x+y&b=1", "form with %20 for +");
    body_is_found("a=%c3%a9", "a=%C3%A9", "form with its escapes in lower case");
    body_is_found("a=%C3%A9", "a=%c3%a9", "form with its escapes in upper case");
    body_is_found("a=it's%20(so)!", "a=it%27s+%28so%29%21", "form as encoded by JavaScript, with %20 for spaces");
    body_is_found("a=é b", "a=%C3%A9+b", "form decoded");
}

#[test]
fn a_body_that_was_compressed_is_found_and_one_that_was_decompressed_is_suspected() {
    let body = r#"{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(body.as_bytes()).unwrap();
    body_is_found(body, &gzip, "body once it is decompressed (gzip)");
    body_is_found(body, zlib.finish().unwrap(), "body once it is decompressed (deflate)");
    let signature = format!("sha256={}", hex::encode(hmac(SECRET, &gzip)));
    let sent = request(&[("x-hub-signature-256", &signature), ("content-encoding", "gzip"), ("x-github-delivery", "1")], body);
    says(&explained(GITHUB, &[], &sent), &["Content-Encoding says gzip and the body is not compressed"]);
}

#[test]
fn an_empty_body_and_lost_characters_are_suspected() {
    says(&explained(GITHUB, &[], &github_changed("{\"a\":1}", "")), &["the body came empty"]);
    says(&explained(GITHUB, &[], &github_changed(b"{\"a\":\"\xfc\"}", "{\"a\":\"\u{fffd}\"}")), &["the body has U+FFFD in it"]);
}

/// A Twilio request whose sender was given one URL, while another is configured.
fn twilio(sent: &str, configured: Option<&str>, headers: &[(&str, &str)], path: &str) -> String {
    let signature = STANDARD.encode(hmac_sha1("auth-token", format!("{sent}Body1")));
    let own = [("x-twilio-signature", signature.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let mut came = request(&[&own[..], headers].concat(), "Body=1");
    came.path = path.to_owned();
    came.query = sent.split_once('?').map_or("", |(_, query)| query).to_owned();
    let setup = Setup::new(table().get("twilio").unwrap().clone(), vec!["auth-token".to_owned().into()]);
    let verifier = Verifier::new("twilio", Setup { url: configured.map(str::to_owned), ..setup }).unwrap();
    explained_by(&verifier, &[], &came)
}

#[test]
fn another_url_than_the_configured_one_is_named() {
    let path = "/hooks/twilio";
    let configured = "https://hooks.example.com/hooks/twilio";
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("http://hooks.example.com/hooks/twilio", &[]),
        ("https://hooks.example.com:443/hooks/twilio", &[]),
        ("https://hooks.example.com/hooks/twilio/", &[]),
        ("https://www.hooks.example.com/hooks/twilio", &[]),
        ("https://other.example.com/hooks/twilio", &[("host", "other.example.com")]),
        ("http://10.0.0.1:8080/hooks/twilio", &[("host", "10.0.0.1:8080")]),
        ("https://front.example.com/hooks/twilio", &[("host", "inner"), ("x-forwarded-host", "front.example.com")]),
        ("https://front.example.com/hooks/twilio", &[("forwarded", "for=1.2.3.4;host=front.example.com;proto=https")]),
        ("https://hooks.example.com/outside", &[("x-original-url", "/outside")]),
        ("https://hooks.example.com/api/hooks/twilio", &[("x-forwarded-prefix", "/api")]),
    ];
    for (sent, headers) in cases {
        let said = twilio(sent, Some(configured), headers, path);
        says(&said, &[&format!("it holds for the URL {sent}, where {configured} is what the configuration makes of it")]);
    }
    says(&twilio(configured, Some("https://hooks.example.com/hooks/twilio/"), &[], path), &["it holds for the URL"]);
    says(&twilio(configured, None, &[("host", "hooks.example.com")], path), &["it holds for the URL", "none is configured"]);
}

#[test]
fn a_url_is_shown_without_what_may_be_a_credential() {
    let said = twilio(
        "https://user:hunter22@hooks.example.com/hooks/twilio?token=hunter22",
        Some("http://user:hunter22@hooks.example.com/hooks/twilio"),
        &[],
        "/hooks/twilio",
    );
    says(&said, &["it holds for the URL https://…@hooks.example.com/hooks/twilio?…"]);
    assert!(!said.contains("hunter22"), "{said}");
}

#[test]
fn headers_that_a_proxy_renamed_are_found() {
    let signature = format!("sha256={}", hex::encode(hmac(SECRET, "{}")));
    for name in [
        "X_Hub_Signature_256",
        "Hub-Signature-256",
        "X-Forwarded-Hub-Signature-256",
        "HTTP_X_HUB_SIGNATURE_256",
        "X-Original-X-Hub-Signature-256",
    ] {
        let sent = request(&[(name, &signature), ("x-github-delivery", "1")], "{}");
        let said = explained(GITHUB, &[], &sent);
        says(
            &said,
            &[&format!("header x-hub-signature-256 came as {}", name.to_ascii_lowercase()), "something on the way renames headers"],
        );
    }
    let all = request(&[("x_hub_signature_256", &signature), ("x_github_delivery", "1")], "{}");
    says(&explained(GITHUB, &[], &all), &["header x-github-delivery came as x_github_delivery, header x-hub-signature-256 came as"]);
    let forged = request(&[("x_hub_signature_256", "sha256=00"), ("x-github-delivery", "1")], "{}");
    says(
        &explained(GITHUB, &[], &forged),
        &["there is no header x-hub-signature-256, but there is x_hub_signature_256: renamed on the way?"],
    );
    let key = STANDARD.decode("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").unwrap();
    let sent = webhook(key);
    let renamed = sent.headers.iter().map(|(name, value)| (if name == "webhook-timestamp" { "webhook_timestamp" } else { name }, value));
    let sent = RawRequest { headers: renamed.collect(), ..sent.clone() };
    says(&explained(("w", "standard-webhooks", &[SECRET]), &[], &sent), &["header webhook-timestamp came as webhook_timestamp"]);
}

#[test]
fn a_missing_timestamp_is_told_by_its_place() {
    let sent = webhook("any");
    let sent = RawRequest { headers: sent.headers.without(|name| name == "webhook-timestamp"), ..sent };
    says(&explained(("w", "standard-webhooks", &[SECRET]), &[], &sent), &["there is no timestamp in the header webhook-timestamp"]);
}

#[test]
fn a_header_that_was_doubled_or_joined_is_found() {
    let (right, wrong) = (format!("sha256={}", hex::encode(hmac(SECRET, "{}"))), format!("sha256={}", hex::encode(hmac("no", "{}"))));
    let twice = |first: &str, last: &str| {
        request(&[("x-hub-signature-256", first), ("x-hub-signature-256", last), ("x-github-delivery", "1")], "{}")
    };
    says(&explained(GITHUB, &[], &twice(&right, &right)), &["it holds by the first of what came more than once (x-hub-signature-256)"]);
    says(&explained(GITHUB, &[], &twice(&wrong, &right)), &["it holds by the last of what came more than once"]);
    says(&explained(GITHUB, &[], &github(&format!("{wrong}, {right}"), "{}")), &["it holds by one part of header x-hub-signature-256"]);
}

#[test]
fn a_signature_in_another_notation_is_found() {
    let tag = hmac(SECRET, "{}");
    let plain = hex::encode(&tag);
    let cases = [
        (format!("sha256={}", plain.to_uppercase()), "hex in upper case"),
        (plain.clone(), "one that has lost its prefix"),
        (format!("SHA256={plain}"), "one with another prefix"),
        (format!("sha256={}", STANDARD.encode(&tag)), "base64"),
        (format!("\"sha256={plain}\""), "without quotes or white space around it"),
        (format!("sha256%3D{plain}"), "with its URL escapes decoded"),
    ];
    for (value, expected) in cases {
        says(
            &explained(GITHUB, &[], &github(&value, "{}")),
            &["it holds when the value of header x-hub-signature-256 is taken as", expected],
        );
    }
    let shopify = |value: &str| request(&[("x-shopify-hmac-sha256", value), ("x-shopify-event-id", "1")], "{}");
    let source: Source<'_> = ("shop", "shopify", &[SECRET]);
    let unpadded = STANDARD.encode(&tag).trim_end_matches('=').to_owned();
    says(&explained(source, &[], &shopify(&unpadded)), &["base64 without its padding"]);
    says(&explained(source, &[], &shopify(&plain)), &["taken as hex"]);
    let tag = hmac(SECRET, "{\"a\":7}");
    let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&tag);
    assert!(url_safe.contains(['-', '_']), "another body is needed to tell the alphabets apart: {url_safe}");
    let sent = request(&[("x-shopify-hmac-sha256", &url_safe), ("x-shopify-event-id", "1")], "{\"a\":7}");
    says(&explained(source, &[], &sent), &["URL-safe base64"]);
}

#[test]
fn a_list_in_another_notation_is_found_and_its_timestamp_stays() {
    let (body, at) = (r#"{"id":"evt_1"}"#, NOW);
    let tag = hex::encode(hmac(SECRET, format!("{at}.{body}")));
    for (value, expected) in [
        (format!("t={at},v1={}", tag.to_uppercase()), "hex in upper case"),
        (format!("t={at};v1={tag}"), "a list with the row's separators"),
        (format!("t={at} v1={tag}"), "a list with the row's separators"),
    ] {
        says(&explained(STRIPE, &[], &request(&[("stripe-signature", &value)], body)), &["stripe-signature is taken as", expected]);
    }
    let key = STANDARD.decode("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").unwrap();
    let sent = webhook(key);
    let headers = sent.headers.iter().map(|(name, value)| (name, value.strip_prefix(b"v1,").unwrap_or(value)));
    let bare = RawRequest { headers: headers.collect(), ..sent.clone() };
    says(&explained(("w", "standard-webhooks", &[SECRET]), &[], &bare), &["one that has lost its name"]);
}
