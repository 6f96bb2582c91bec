//! `get` and `post` as axum has them, for handlers in boxes.
//!
//! axum compiles about a hundred functions for each type of handler, and every handler is a type of its own. In a box all are one type:
//! a tenth of this crate's compile time is saved for one allocation a request. Owns: nothing. Never does: look at a request.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{self, MethodRouter};

use crate::City;

/// The address answers GET (and HEAD) by this handler; see [`routing::get`].
pub(crate) fn get<T: 'static>(handler: impl Handler<T, Arc<City>>) -> MethodRouter<Arc<City>> {
    routing::get(Boxed::new(handler))
}

/// The address answers POST by this handler; see [`routing::post`].
pub(crate) fn post<T: 'static>(handler: impl Handler<T, Arc<City>>) -> MethodRouter<Arc<City>> {
    routing::post(Boxed::new(handler))
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

#[derive(Clone)]
struct Boxed(Arc<dyn Fn(Request, Arc<City>) -> Answer + Send + Sync>);

impl Boxed {
    fn new<T: 'static>(handler: impl Handler<T, Arc<City>>) -> Self {
        Self(Arc::new(move |request, city| {
            Box::pin(handler.clone().call(request, city))
        }))
    }
}

impl Handler<(), Arc<City>> for Boxed {
    type Future = Answer;

    fn call(self, request: Request, city: Arc<City>) -> Self::Future {
        (self.0)(request, city)
    }
}
