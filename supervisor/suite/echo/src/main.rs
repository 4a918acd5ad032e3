//! A runtime that is not Python. It gives each script back as its result, but for lines that begin with `!`, which it
//! does as they are read: enough for the tests of all that a job can be to whom it is nobody's business what runs in it.
//!
//! What any runtime is to the supervisor is here in full. Started as a job is, it writes `P` to descriptor 3 when it is
//! ready. From descriptor 0 it reads eight bytes of length, big-endian, and so much JSON: `script`, `args`, `kwargs`,
//! `files` (each a path and a size) and `result_bytes`; then the files' content, one behind the other, then the script's
//! standard input. It writes each file, and sets the time of its last change to a whole second, which is how a file that a
//! script has not changed is known. To descriptor 3 it writes one report: `R` for a result or `E` for a failure, eight bytes of length,
//! and JSON. At descriptor 4 a runtime reads what calls of `tools` return, if the request names any (`tools`: JSON as text, the largest
//! arguments of a call in bytes, how many calls) that it lets scripts call; this one has none to call, and closes it, so that no script
//! finds it. It must know two scripts of the supervisor's: at one it makes all attempts that `canary` has, at the other it ignores what
//! signals it can, starts a process that goes on after it, prints `begun`, and never ends.

mod canary;
mod sys;

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

/// Where a sandbox has this program.
const PROGRAM: &str = "/usr/bin/echo";

/// With this argument it is a child of a job's, and goes on for ever.
const FOR_EVER: &str = "for-ever";

fn main() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(FOR_EVER) {
        for_ever();
    }
    let mut pipe = sys::result_pipe();
    pipe.write_all(b"P")?;
    let mut input = io::stdin().lock();
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let mut body = Vec::new();
    input.by_ref().take(u64::from_be_bytes(length)).read_to_end(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    sys::close_returns();
    put(&request["files"], &mut input)?;
    let (tag, said) = match run(&request, &mut input) {
        Ok(result) => (b'R', result),
        Err(message) => (b'E', json!({"code": "exception", "message": message})),
    };
    let said = said.to_string();
    let mut report = vec![tag];
    report.extend((said.len() as u64).to_be_bytes());
    report.extend(said.as_bytes());
    pipe.write_all(&report)
}

/// Writes the request's files.
fn put(files: &Value, input: &mut impl Read) -> io::Result<()> {
    for file in files.as_array().into_iter().flatten() {
        let path = Path::new(file[0].as_str().unwrap_or_default());
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let mut content = Vec::new();
        input.by_ref().take(file[1].as_u64().unwrap_or_default()).read_to_end(&mut content)?;
        let mut made = fs::File::create(path)?;
        made.write_all(&content)?;
        // As it was brought: see `files` in docs/files.md.
        let put = made.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        made.set_modified(UNIX_EPOCH + Duration::from_secs(put))?;
    }
    Ok(())
}

/// The script's result, or why there is none.
fn run(request: &Value, input: &mut impl Read) -> Result<Value, String> {
    let script = request["script"].as_str().unwrap_or_default();
    match script {
        "#!canary attempts" => return Ok(canary::attempts(&request["kwargs"])),
        "#!canary outlast" => {
            sys::block_signals();
            let _ = Command::new(PROGRAM).arg(FOR_EVER).spawn();
            println!("begun");
            for_ever();
        }
        _ => {}
    }
    let mut left = Vec::new();
    for line in script.lines() {
        match line.strip_prefix('!') {
            Some(instruction) => obey(instruction, request, input).map_err(|error| error.to_string())?,
            None => left.push(line),
        }
    }
    Ok(json!(left.join("\n")))
}

fn obey(instruction: &str, request: &Value, input: &mut impl Read) -> io::Result<()> {
    let (word, rest) = instruction.split_once(' ').unwrap_or((instruction, ""));
    match word {
        "name" => sys::set_name(&CString::new(rest)?),
        "sleep" => {
            let given = rest.parse().ok().or(request["args"][0].as_f64());
            std::thread::sleep(Duration::from_secs_f64(given.unwrap_or_default()));
        }
        "print" => io::stdout().write_all(rest.as_bytes())?,
        "complain" => io::stderr().write_all(rest.as_bytes())?,
        "flood" => io::stdout().write_all(&vec![b'x'; rest.parse().unwrap_or_default()])?,
        // What came through standard input, to standard output.
        "copy" => drop(io::copy(input, &mut io::stdout())?),
        "fill" => drop(std::hint::black_box(vec![1_u8; rest.parse().unwrap_or_default()])),
        "leave" => {
            fs::create_dir_all("out")?;
            fs::write(Path::new("out").join(rest), rest)?;
        }
        "show" => io::stdout().write_all(&fs::read(rest)?)?,
        "child" => drop(Command::new(PROGRAM).arg(FOR_EVER).spawn()?),
        "spin" => for_ever(),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(rest.parse().unwrap_or_default()),
        _ => return Err(io::Error::other(format!("{word:?} is no instruction"))),
    }
    io::stdout().flush()
}

fn for_ever() -> ! {
    loop {
        std::hint::spin_loop();
    }
}
