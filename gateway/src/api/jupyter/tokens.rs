//! Keys as Jupyter's clients send them: `?token=KEY`, `Authorization: token KEY`, or as everywhere else.

use axum::extract::Request;
use hyper::header::{AUTHORIZATION, HeaderValue};
use percent_encoding::percent_decode_str;

/// Puts a key to where it is looked for. As in Jupyter Server the address goes before the header.
pub async fn as_key(mut request: Request) -> Request {
    let key = in_address(&request).or_else(|| in_header(&request));
    let line = key.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok());
    if let Some(mut line) = line {
        line.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, line);
    }
    request
}

fn in_address(request: &Request) -> Option<String> {
    let fields = request.uri().query()?.split('&');
    let token = fields.filter_map(|field| field.strip_prefix("token=")).next()?;
    Some(percent_decode_str(token).decode_utf8().ok()?.into_owned())
}

/// If it is there once; more than one are none, as everywhere.
fn in_header(request: &Request) -> Option<String> {
    let mut lines = request.headers().get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("token").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;

    use super::as_key;

    async fn told(path: &str, lines: &[&str]) -> Vec<String> {
        let mut request = Request::get(path);
        for line in lines {
            request = request.header("authorization", *line);
        }
        let request = as_key(request.body(Body::empty()).expect("a request")).await;
        let lines = request.headers().get_all("authorization").iter();
        lines.map(|line| line.to_str().expect("text").to_owned()).collect()
    }

    #[tokio::test]
    async fn a_key_is_found_wherever_clients_put_it() {
        assert_eq!(told("/api?a=b&token=k%5F1", &[]).await, ["Bearer k_1"]);
        assert_eq!(told("/api", &["token k"]).await, ["Bearer k"]);
        assert_eq!(told("/api", &["Token  k "]).await, ["Bearer k"]);
        assert_eq!(told("/api", &["Bearer k"]).await, ["Bearer k"]);
        assert_eq!(told("/api?token=k", &["Basic x"]).await, ["Bearer k"]);
        assert_eq!(told("/api", &["token k", "token l"]).await, ["token k", "token l"]);
        assert_eq!(told("/api?xtoken=k", &[]).await, [""; 0]);
        assert_eq!(told("/api?token=%0A", &[]).await, [""; 0]);
    }
}
