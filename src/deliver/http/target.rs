//! Where a request goes when its deeper path and query are appended to the destination's URL.

use url::Url;

/// `base` with `subpath` below its path and `query` after its own query. `None` when the path would leave `base`: the
/// deeper path is rarely covered by the sender's signature, so `/../admin` (or its `%2e%2e` spelling) must not choose
/// another resource of the destination.
pub(super) fn below(base: &Url, subpath: &str, query: &str) -> Option<Url> {
    let mut url = base.clone();
    let root = base.path().trim_end_matches('/');
    if !subpath.is_empty() {
        url.set_path(&format!("{root}/{}", subpath.strip_prefix('/').unwrap_or(subpath)));
    }
    if !query.is_empty() {
        let own = base.query().filter(|own| !own.is_empty());
        url.set_query(Some(&own.map_or_else(|| query.to_owned(), |own| format!("{own}&{query}"))));
    }
    let inside = url.path() == base.path() || url.path().strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    inside.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(base: &str, subpath: &str, query: &str) -> Option<String> {
        below(&base.parse().unwrap(), subpath, query).map(String::from)
    }

    #[test]
    fn path_and_query_join_and_the_urls_own_query_comes_first() {
        let cases = [
            ("http://h/in", "", "", "http://h/in"),
            ("http://h/in", "/eu/1", "", "http://h/in/eu/1"),
            ("http://h/in/", "/eu", "", "http://h/in/eu"),
            ("http://h", "/eu", "", "http://h/eu"),
            ("http://h/", "/", "", "http://h/"),
            ("http://h/in", "/", "", "http://h/in/"),
            ("http://h/in", "/a%2Fb%20c", "", "http://h/in/a%2Fb%20c"),
            ("http://h/in", "", "a=1&b=%26", "http://h/in?a=1&b=%26"),
            ("http://h/in?key=k", "/eu", "a=1", "http://h/in/eu?key=k&a=1"),
            ("http://h/in?key=k", "/eu", "", "http://h/in/eu?key=k"),
            ("http://h/in?", "", "a=1", "http://h/in?a=1"),
            ("http://h/in", "/a/../b", "", "http://h/in/b"),
            ("http://h/in", "//a//b", "", "http://h/in//a//b"),
        ];
        for (base, subpath, query, expected) in cases {
            assert_eq!(joined(base, subpath, query).as_deref(), Some(expected), "{base} {subpath} {query}");
        }
    }

    #[test]
    fn a_path_cannot_leave_the_destination() {
        for subpath in ["/../admin", "/%2e%2e/admin", "/.%2E/admin", "/a/../../admin", "/..", "/..\\admin", "/../inner", "/../in2"] {
            assert_eq!(joined("http://h/in", subpath, ""), None, "{subpath}");
        }
    }

    proptest! {
        #[test]
        fn every_path_stays_below(subpath in "(/|\\.|%2e|%2E|\\\\|[a-z?#@:%]){0,12}", query in "[ -~]{0,12}") {
            let base: Url = "http://user@h:81/in/side?own=1".parse().unwrap();
            if let Some(url) = below(&base, &subpath, &query) {
                prop_assert!(url.path() == "/in/side" || url.path().starts_with("/in/side/"), "{}", url);
                prop_assert_eq!((url.origin(), url.username()), (base.origin(), base.username()));
                prop_assert!(url.query().unwrap().starts_with("own=1"));
            }
        }
    }
}
