//! A pull parser over one event: jiter, with errors that become rejections.

use jiter::{Jiter, JiterError, LinePosition, NumberAny, NumberInt, Peek};

use super::rejection::Fault;
use super::scalar::Scalar;

/// Reads one event from front to back; can be set back to a value it has passed.
#[derive(Debug)]
pub(super) struct Reader<'j> {
    payload: &'j [u8],
    /// Where in the payload the parser was started.
    base: usize,
    jiter: Jiter<'j>,
}

impl<'j> Reader<'j> {
    /// The tape is a buffer for strings with escapes, to be taken back with [`Reader::into_tape`].
    pub(super) fn new(payload: &'j [u8], tape: Vec<u8>) -> Self {
        Self { payload, base: 0, jiter: Jiter::with_tape(payload, tape) }
    }

    pub(super) fn into_tape(self) -> Vec<u8> {
        self.jiter.into_tape()
    }

    /// Goes (back) to the value at this position of the payload.
    pub(super) fn seek(&mut self, position: usize) {
        let tape = std::mem::replace(&mut self.jiter, Jiter::new(&[])).into_tape();
        self.base = position.min(self.payload.len());
        self.jiter = Jiter::with_tape(&self.payload[self.base..], tape);
    }

    /// What kind of value comes next.
    pub(super) fn peek(&mut self) -> Result<Peek, Fault> {
        self.jiter.peek().map_err(|error| malformed(self.payload, self.base, &error))
    }

    /// Where in the payload the next value begins.
    pub(super) fn position(&mut self) -> Result<usize, Fault> {
        self.peek()?;
        Ok(self.base + self.jiter.current_index())
    }

    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.jiter.next_skip().map_err(|error| malformed(self.payload, self.base, &error))
    }

    /// Enters the event, which must be an object, and reads its first key.
    pub(super) fn enter_event(&mut self) -> Result<Option<&str>, Fault> {
        if self.peek()? != Peek::Object {
            return Err(Fault::malformed("an event is a json object, this is not one".to_owned()));
        }
        self.enter_object()
    }

    /// Enters the object that comes next, as [`Reader::peek`] has told, and reads its first key.
    pub(super) fn enter_object(&mut self) -> Result<Option<&str>, Fault> {
        self.jiter.known_object().map_err(|error| malformed(self.payload, self.base, &error))
    }

    /// The next key of the object that was entered last; none leaves it.
    pub(super) fn next_key(&mut self) -> Result<Option<&str>, Fault> {
        self.jiter.next_key().map_err(|error| malformed(self.payload, self.base, &error))
    }

    /// The next value; the inside of an array or object is checked and passed over.
    #[inline]
    pub(super) fn scalar(&mut self) -> Result<Scalar<'_>, Fault> {
        let peek = self.peek()?;
        let scalar = match peek {
            Peek::String => self.jiter.known_str().map(Scalar::Text),
            Peek::Null => self.jiter.known_null().map(|()| Scalar::Null),
            Peek::True | Peek::False => self.jiter.known_bool(peek).map(Scalar::Bool),
            Peek::Array => self.jiter.known_skip(peek).map(|()| Scalar::Array),
            Peek::Object => self.jiter.known_skip(peek).map(|()| Scalar::Object),
            _ => self.jiter.known_number(peek).map(|number| match number {
                NumberAny::Float(float) => Scalar::Float(float),
                NumberAny::Int(NumberInt::Int(int)) => Scalar::Int(int),
                NumberAny::Int(NumberInt::BigInt(int)) => Scalar::Big(int.to_string()),
            }),
        };
        scalar.map_err(|error| malformed(self.payload, self.base, &error))
    }

    /// Nothing but white space may follow the event.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.jiter.finish().map_err(|error| malformed(self.payload, self.base, &error))
    }
}

#[cold]
fn malformed(payload: &[u8], base: usize, error: &JiterError) -> Fault {
    let position = LinePosition::find(payload, base + error.index);
    Fault::malformed(format!("{} at {position}", error.error_type))
}
