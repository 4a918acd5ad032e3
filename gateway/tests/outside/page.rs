//! The page as a client without a browser sees it; what it does in one is tried with the real supervisor.

use crate::stage::{Client, Gateway, KeyFile, Outcome, Place};

fn ask(client: &mut Client, method: &str, path: &str, headers: &str) -> std::io::Result<()> {
    client.send(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"))
}

#[test]
fn who_has_a_file_is_not_sent_it_again() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let mut client = Client::connect(gateway.address)?;
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
    ] {
        ask(&mut client, "GET", path, "")?;
        let whole = client.response()?;
        assert_eq!((whole.status(), whole.header("content-type")), (200, Some(media_type)));
        let tag = whole.header("etag").expect("a tag").to_owned();
        ask(&mut client, "HEAD", path, "")?;
        let head = client.head()?;
        assert_eq!((head.status(), head.header("etag")), (200, Some(tag.as_str())));
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"another\",{tag}"), "*".to_owned()] {
            ask(&mut client, "GET", path, &format!("if-none-match: {known}\r\n"))?;
            let same = client.head()?;
            assert_eq!((same.status(), same.header("etag")), (304, Some(tag.as_str())), "{known}");
            assert_eq!(same.header("content-security-policy"), whole.header("content-security-policy"));
        }
        for known in ["\"another\"", tag.trim_matches('"'), ""] {
            ask(&mut client, "GET", path, &format!("if-none-match: {known}\r\n"))?;
            assert_eq!(client.response()?.body, whole.body, "{known}");
        }
    }
    Ok(())
}

#[test]
fn it_is_for_everyone_unless_it_is_turned_off() -> Outcome {
    let place = Place::new()?;
    let keys = KeyFile::new()?;
    keys.add("somebody", &[])?;
    let gateway = Gateway::start_with(&place, &["--keys", keys.path.to_str().expect("a path of letters")])?;
    let mut client = Client::connect(gateway.address)?;
    ask(&mut client, "GET", "/", "")?;
    assert_eq!(client.response()?.status(), 200);
    let gateway = Gateway::start_with(&place, &["--no-page"])?;
    let mut client = Client::connect(gateway.address)?;
    for path in ["/", "/page/app.js"] {
        ask(&mut client, "GET", path, "")?;
        client.response()?.refusal(404, "not_found");
    }
    Ok(())
}
