//! What is masked, what is kept, and what must never happen to either.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static MASKER: LazyLock<Masker> = LazyLock::new(Masker::default);

fn check(line: &str, expected: &str) {
    let masked = MASKER.mask(line);
    assert_eq!(masked, expected, "{line}");
}

fn is_kept(line: &str) {
    assert!(
        matches!(MASKER.mask(line), Cow::Borrowed(kept) if kept == line),
        "{line}"
    );
}

#[test]
fn what_holds_no_secret_is_borrowed() {
    is_kept("2026-01-27 14:23:45 INFO all is well");
    is_kept("a password is needed");
    is_kept("token::parse failed at https://host:8080/a@b");
    is_kept("{\"token\": null, \"secret\": true, \"a\": \"b\"}");
    is_kept("password=");
    is_kept("password: ");
    is_kept("");
}

#[test]
fn values_of_secret_keys_are_masked() {
    check("user=a password=x y=1", "user=a password=*** y=1");
    check("password=\"x y\" y=1", "password=\"***\" y=1");
    check("password='x \\' y' y=1", "password='***' y=1");
    check("DB_PASSWORD: x", "DB_PASSWORD: ***");
    check("api_key = x, user = a", "api_key = ***, user = a");
    check("(apikey=x; user=a)", "(apikey=***; user=a)");
    check("login(secret=a,b, user=c)", "login(secret=***, user=c)");
    check(
        "{'db_password': 'x y', 'a': 1}",
        "{'db_password': '***', 'a': 1}",
    );
    check(
        "{'secrets': {'a': 'x}'}, 'a': 1}",
        "{'secrets': ***, 'a': 1}",
    );
    check("tokens=[a, b] c", "tokens=*** c");
    check("GET /?token=x&a=b HTTP/1.1", "GET /?token=***&a=b HTTP/1.1");
    check("\"GET /?a=b&token=x\" 200", "\"GET /?a=b&token=***\" 200");
    check("secret: Some(\"x y\") a", "secret: ***) a");
    check("secret=b'x y' a", "secret=*** a");
    check("password => x", "password => ***");
    check("password=x password=y", "password=*** password=***");
    check("password=\"never closed x", "password=\"***");
    check("Session-Token: é x", "Session-Token: *** x");
}

#[test]
fn an_authorization_is_masked_as_a_whole() {
    check("Authorization: Bearer x.y-z a", "Authorization: *** a");
    check(
        "-H \"Authorization: Bearer x\" http://a",
        "-H \"Authorization: ***\" http://a",
    );
    check("authorization=Basic eDp5 ok", "authorization=*** ok");
    check(
        "\"authorization\": \"Bearer x\"",
        "\"authorization\": \"***\"",
    );
    check(
        "authorization: Digest username=\"u\", response=\"x\"",
        "authorization: ***",
    );
    check(
        "Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=y",
        "Authorization: ***",
    );
    check("token: Bearer x", "token: ***");
}

#[test]
fn passwords_in_urls_are_masked() {
    check(
        "postgres://u:x@host:5432/db a",
        "postgres://u:***@host:5432/db a",
    );
    check("redis://:x@host", "redis://:***@host");
    check("a://u:p@ss/w:o@h/x b://v:y@i", "a://u:***@h/x b://v:***@i");
    check("http://h:80/x?m=a@b.c", "http://h:80/x?m=a@b.c");
    check("{\"url\":\"amqp://u:x@h\"}", "{\"url\":\"amqp://u:***@h\"}");
}

#[test]
fn json_is_masked_at_any_depth() {
    check(
        r#"{"a":{"b":[{"Password":"x"}]},"c":1}"#,
        r#"{"a":{"b":[{"Password":"***"}]},"c":1}"#,
    );
    check(r#"{"token":123,"b":-1.5}"#, r#"{"token":"***","b":-1.5}"#);
    check(
        r#"{"secrets":{"a":["x","}"]},"b":1}"#,
        r#"{"secrets":"***","b":1}"#,
    );
    check(
        r#"{"api_key" : "a\"b" , "b":1}"#,
        r#"{"api_key" : "***" , "b":1}"#,
    );
    check(
        r#"{"msg":"login password=x"}"#,
        r#"{"msg":"login password=***"}"#,
    );
    check(
        r#"{"msg":"password=x\nnext"}"#,
        r#"{"msg":"password=***\nnext"}"#,
    );
    check(
        r#"{"msg":"password=\"x y\" z"}"#,
        r#"{"msg":"password=\"***\" z"}"#,
    );
    check(
        r#"{"msg":"{\"password\":\"x\\\"y\",\"a\":1}"}"#,
        r#"{"msg":"{\"password\":\"***\",\"a\":1}"}"#,
    );
    check(r#"{"msg":"{\"token\":5}"}"#, r#"{"msg":"{\"token\":***}"}"#);
    check(r#"[{"token":"x"}]"#, r#"[{"token":"***"}]"#);
    check(
        r#"INFO {"token":"x y","b":1}"#,
        r#"INFO {"token":"***","b":1}"#,
    );
}

#[test]
fn names_are_what_the_user_says() {
    let masker = Masker::new(&["pin", "a.b", ""]);
    assert_eq!(
        masker.mask("PIN=1 a.b=2 axb=3 password=4"),
        "PIN=*** a.b=*** axb=3 password=4"
    );
    let none: [&str; 0] = [];
    assert_eq!(
        Masker::new(&none).mask("password=4 a://b:c@d"),
        "password=4 a://b:***@d"
    );
}

#[test]
fn a_hostile_line_takes_time_in_proportion() {
    // Quadratic, one of these would take minutes.
    for piece in [
        "password",
        "password=",
        "password=\"",
        "://",
        "a://b:c",
        "token=\"a'b",
        "secret=))))))))",
        "{\"token\":[",
    ] {
        let line = piece.repeat((1 << 20) / piece.len());
        MASKER.mask(&line);
    }
}

/// JSON that proptest makes up, some keys of it secret.
fn value() -> impl Strategy<Value = String> {
    let text = "([a-z0-9 =:,é]|\\\\[\"\\\\nu]|password|token|://|@|'|\\\\\"){0,6}";
    let string = text.prop_map(|text| format!("\"{}\"", text.replace("\\u", "\\u00e9")));
    let leaf = prop_oneof![
        string,
        "-?[1-9][0-9]{0,3}",
        Just("true".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![Just("a"), Just("password"), Just("x_Token"), Just("a b")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((key, inner), 0..4).prop_map(|all| {
                let all: Vec<_> = all
                    .iter()
                    .map(|(key, value)| format!("\"{key}\": {value}"))
                    .collect();
                format!("{{{}}}", all.join(", "))
            }),
        ]
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

proptest! {
    #[test]
    fn a_secret_never_stays(
        secret in "[A-Za-z0-9!#$%*+./?@^_~-]{6,20}", key in "[a-z_]{0,5}", form in 0..12_usize, name in 0..NAMES.len()
    ) {
        let key = format!("{key}{}", NAMES[name]);
        let line = match form {
            0 => format!("a {key}={secret} b"),
            1 => format!("a {key}=\"{secret} {secret}\" b"),
            2 => format!("a {key}: {secret}, b=1"),
            3 => format!("{{\"{key}\":\"{secret}\"}}"),
            4 => format!("{{\"a\":[{{\"{key}\":[\"{secret}\"]}}]}}"),
            5 => format!("{{\"msg\":\"a {key}={secret}\"}}"),
            6 => format!("{{\"msg\":\"a {{\\\"{key}\\\":\\\"{secret}\\\"}}\"}}"),
            7 => format!("GET /?{key}={secret}&a=1 HTTP/1.1"),
            8 => format!("{{'{key}': '{secret}'}}"),
            9 => format!("{key}: Bearer {secret}"),
            10 => format!("a {}={secret}", key.to_uppercase()),
            _ => format!("a {key}: Some(\"{secret} {secret}\") b"),
        };
        let masked = MASKER.mask(&line).into_owned();
        prop_assert!(!masked.contains(&secret), "{} of {}", masked, line);
        prop_assert!(!is_json(&line) || is_json(&masked), "{} of {}", masked, line);
    }

    #[test]
    fn a_password_in_a_url_never_stays(secret in "[A-Za-z!$%*+._~@-][A-Za-z!$%*+._~@/-]{5,20}") {
        let masked = MASKER.mask(&format!("at db://me:{secret}@host/x")).into_owned();
        prop_assert!(!masked.contains(&secret), "{}", masked);
    }

    #[test]
    fn masked_json_is_json(json in value()) {
        prop_assume!(is_json(&json));
        let masked = MASKER.mask(&json).into_owned();
        prop_assert!(is_json(&masked), "{} of {}", masked, json);
    }

    #[test]
    fn foreign_text_is_survived(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "password", "token", "=", ":", " ", "\"", "'", "\\", "\\\"", "{", "}", "[", "]", ",", "&", "://",
            "@", "é", "a", "\\n", "\\u", "\\u00", "{\"", "\"}", "\":\"", "Bearer", "digest", "authorization", "/", "\t",
        ]), 0..24)
    ) {
        let line = pieces.concat();
        MASKER.mask(&line);
    }
}
