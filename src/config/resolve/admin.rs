//! The admin listener: its address and its tokens.

use std::net::SocketAddr;

use secrecy::{ExposeSecret as _, SecretString};

use super::{ADMIN_LISTEN, address};
use crate::config::report::Keys;
use crate::config::{Admin, Role, Token, file};

/// The name of the one token that has none.
const NAMELESS: &str = "admin";

pub(super) fn admin(written: file::Admin, public: SocketAddr, mut keys: Keys<'_>) -> Admin {
    let listen = address(&mut keys, "listen", written.listen.as_deref(), ADMIN_LISTEN);
    let same_ip = listen.ip() == public.ip() || listen.ip().is_unspecified() || public.ip().is_unspecified();
    if listen.port() == public.port() && listen.port() != 0 && same_ip {
        let path = if keys.report.places.knows(&keys.path("listen")) { keys.path("listen") } else { "listen".to_owned() };
        let message = format!("admin.listen = \"{listen}\" and listen = \"{public}\" take the same port: each needs its own");
        keys.report.problem(&path, message);
    }
    let given = written.token.is_some();
    let token = written.token.map(|secret| secret.0).filter(|token| !token.expose_secret().is_empty());
    if token.as_ref().is_some_and(is_blank) {
        keys.problem("token", "is blank");
    }
    if token.is_none() && written.tokens.is_empty() && !listen.ip().to_canonical().is_loopback() {
        let state = if given { "is empty" } else { "is missing" };
        keys.missing("token", format!("{state}: it is required because admin.listen = \"{listen}\" is not loopback"));
    }
    let nameless = token.map(|secret| Token { name: NAMELESS.into(), secret, role: Role::Write });
    let mut tokens: Vec<_> = nameless.into_iter().collect();
    for (name, written) in written.tokens {
        let mut below = keys.below("tokens");
        let mut own = below.below(&name);
        let found = named(&name, written, &mut own).filter(|found| is_new(found, &tokens, &mut own));
        tokens.extend(found);
    }
    Admin { listen, tokens }
}

fn named(name: &str, written: file::Token, keys: &mut Keys<'_>) -> Option<Token> {
    let role = match written.role.as_deref() {
        Some("read") => Role::Read,
        Some("write") => Role::Write,
        Some(_) => {
            keys.problem("role", "is \"read\" or \"write\"");
            return None;
        }
        None => {
            keys.missing("role", "is missing: \"read\" or \"write\"");
            return None;
        }
    };
    let Some(secret) = written.token else {
        keys.missing("token", "is missing");
        return None;
    };
    if is_blank(&secret.0) {
        keys.problem("token", "is empty: an empty token would let anybody in");
        return None;
    }
    Some(Token { name: name.into(), secret: secret.0, role })
}

/// By its token the trail tells who it was, so each has its own.
fn is_new(token: &Token, others: &[Token], keys: &mut Keys<'_>) -> bool {
    if &*token.name == NAMELESS {
        keys.problem("token", "is of the name under which admin.token is shown: choose another");
        return false;
    }
    let same = others.iter().find(|other| other.secret.expose_secret() == token.secret.expose_secret());
    if let Some(other) = same {
        keys.problem("token", format!("is the same as that of {}", other.name));
    }
    same.is_none()
}

fn is_blank(token: &SecretString) -> bool {
    token.expose_secret().trim().is_empty()
}
