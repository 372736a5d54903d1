//! The request that every competitor gets: a Stripe-like event of 1.5 KB under a Stripe signature. It is rendered once;
//! what differs from one to the next (time, signature, ID) is patched in place, so that the generator costs little.

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Where all competitors take the event.
pub(crate) const PATH: &str = "/hooks/stripe";
/// The key that sender and competitors share.
pub(crate) const SECRET: &str = "whsec_peers_bench_2Yq1mC7sXb0dT9rL";
/// An event's ID: `evt_` and 24 characters.
pub(crate) const ID_LEN: usize = 28;

const BODY_LEN: usize = 1500;
const TIME_LEN: usize = 10;
const DIGEST_LEN: usize = 64;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One connection's request buffer.
pub(crate) struct Request {
    bytes: Vec<u8>,
    time: Range<usize>,
    digest: Range<usize>,
    body: Range<usize>,
    id: Range<usize>,
    keyed: Hmac<Sha256>,
}

impl Request {
    /// The template for one server.
    pub(crate) fn new(server: SocketAddr) -> Self {
        let body = body();
        let time = "0".repeat(TIME_LEN);
        let digest = "0".repeat(DIGEST_LEN);
        let before = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
             Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n\
             Content-Length: {BODY_LEN}\r\nStripe-Signature: t="
        );
        let start = before.len() + TIME_LEN;
        let head = format!("{before}{time},v1={digest}\r\nX-Request-Purpose: throughput measurement\r\n\r\n");
        let id = head.len() + "{\"id\":\"".len();
        Self {
            time: before.len()..start,
            digest: start + ",v1=".len()..start + ",v1=".len() + DIGEST_LEN,
            body: head.len()..head.len() + BODY_LEN,
            id: id..id + ID_LEN,
            keyed: keyed(),
            bytes: [head.into_bytes(), body.into_bytes()].concat(),
        }
    }

    /// The bytes on the wire of the event `id`, signed at `unix` seconds.
    pub(crate) fn render(&mut self, id: &[u8; ID_LEN], unix: u64) -> &[u8] {
        self.bytes[self.id.clone()].copy_from_slice(id);
        write!(&mut self.bytes[self.time.clone()], "{unix:010}").expect("ten digits last until the year 2286");
        let mut mac = self.keyed.clone();
        mac.update(&self.bytes[self.time.clone()]);
        mac.update(b".");
        mac.update(&self.bytes[self.body.clone()]);
        let tag = mac.finalize().into_bytes();
        hex::encode_to_slice(tag, &mut self.bytes[self.digest.clone()]).expect("32 bytes are 64 hex digits");
        &self.bytes
    }
}

fn keyed() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length")
}

/// The ID with the number `sequence` in a run: the same number gives the same ID, so a duplicate needs no memory.
pub(crate) fn event_id(run: u64, sequence: u64) -> [u8; ID_LEN] {
    let mut id = *b"evt_000000000000000000000000";
    let mut random = SplitMix(run ^ sequence.wrapping_mul(0xD1B5_4A32_D192_ED03));
    for eight in id[4..].chunks_exact_mut(8) {
        let mut bits = random.next();
        for character in eight {
            *character = ALPHABET[(bits % 62) as usize];
            bits /= 62;
        }
    }
    id
}

/// The SplitMix64 generator: two multiplications a number, random enough for a load.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn body() -> String {
    let start = concat!(
        r#"{"id":"evt_000000000000000000000000","object":"event","api_version":"2025-08-27.basil","created":1767323045,"#,
        r#""data":{"object":{"id":"in_1PqYtL2eZvKYlo2CbGkq8rVd","object":"invoice","account_country":"DE","#,
        r#""account_name":"Example GmbH","amount_due":4900,"amount_paid":4900,"amount_remaining":0,"attempt_count":1,"#,
        r#""attempted":true,"auto_advance":false,"billing_reason":"subscription_cycle","collection_method":"#,
        r#""charge_automatically","currency":"eur","customer":"cus_QhJ3kLmN0pQrSt","customer_email":"someone@example.com","#,
        r#""lines":{"object":"list","data":[{"id":"il_1PqYtL2eZvKYlo2CmX0aBcDe","object":"line_item","amount":4900,"#,
        r#""currency":"eur","description":"1 × Team (at €49.00 / month)","quantity":1}],"has_more":false,"total_count":1},"#,
        r#""livemode":true,"number":"A1B2C3D4-0042","paid":true,"status":"paid","subtotal":4900,"total":4900,"footer":""#,
    );
    let end =
        concat!(r#""}},"livemode":true,"pending_webhooks":1,"request":{"id":null,"idempotency_key":null},"#, r#""type":"invoice.paid"}"#);
    let footer = "Thank you for your business. ".repeat(BODY_LEN / 29);
    let text = format!("{start}{}{end}", &footer[..BODY_LEN - start.len() - end.len()]);
    assert_eq!(text.len(), BODY_LEN, "the footer pads the body");
    text
}

/// The time as senders write it into a signature.
#[allow(clippy::disallowed_methods, reason = "a sender's clock, outside the program that is measured")]
pub(crate) fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs()
}

/// Checks that a rendered request is HTTP, that its body is JSON with the ID, and that the naive peer takes its signature.
///
/// # Panics
/// When the template is broken.
pub(crate) fn self_check() {
    let id = event_id(1, 2);
    assert_ne!(id, event_id(1, 3), "another number gives another ID");
    let mut request = Request::new(SocketAddr::from(([127, 0, 0, 1], 1)));
    let now = unix_now();
    let text = String::from_utf8(request.render(&id, now).to_vec()).expect("the request is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert_eq!(body.len(), BODY_LEN);
    let parsed: serde_json::Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(parsed["id"].as_str().map(str::as_bytes), Some(&id[..]));
    let header = head.lines().find_map(|line| line.strip_prefix("Stripe-Signature: ")).expect("a signature");
    assert!(super::proof::signature_holds(SECRET, header, body.as_bytes(), now), "the peer takes the signature");
    assert!(!super::proof::signature_holds(SECRET, header, &body.as_bytes()[1..], now), "and refuses another body");
}
