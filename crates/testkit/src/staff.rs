//! Somebody of the city's staff at the hub's pages, as a browser asks for them.
//!
//! Owns: the session of one person. Never does: decide what a person would. What the hub refuses is a sentence.

/// A person who is logged in.
pub struct Staff {
    agent: ureq::Agent,
    base: String,
    cookie: String,
    token: String,
}

impl Staff {
    /// Logs in.
    ///
    /// # Errors
    /// The hub does not answer, or does not know the name and password.
    pub fn log_in(base: &str, name: &str, password: &str) -> Result<Self, String> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let mut staff = Self {
            agent: config.into(),
            base: base.to_owned(),
            cookie: String::new(),
            token: String::new(),
        };
        let said = staff
            .agent
            .post(format!("{base}/login"))
            .header("Origin", base)
            .send_form([("name", name), ("password", password)])
            .map_err(|error| format!("/login: {error}"))?;
        let cookies = said.headers().get_all("set-cookie").iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        staff.cookie = cookies.collect::<Vec<_>>().join("; ");
        if said.status() != 303 || staff.cookie.is_empty() {
            return Err(format!("/login does not let {name} in: {}", said.status()));
        }
        let page = staff.get("account")?;
        staff.token = between(&page, "name=\"form-token\" content=\"", "\"")
            .ok_or("no page has a form token")?
            .to_owned();
        Ok(staff)
    }

    /// A page.
    ///
    /// # Errors
    /// The hub does not answer, or not with a page.
    pub fn get(&self, page: &str) -> Result<String, String> {
        let bytes = self.bytes(page)?;
        String::from_utf8(bytes).map_err(|error| format!("/{page}: {error}"))
    }

    /// A page, a sound or a file.
    ///
    /// # Errors
    /// The hub does not answer, or with another status than 200, which is named.
    pub fn bytes(&self, page: &str) -> Result<Vec<u8>, String> {
        match self.answer(page, &[])? {
            (200, bytes) => Ok(bytes),
            (status, _) => Err(format!("/{page}: {status}")),
        }
    }

    /// The bytes of an answer as they are transferred, and its status. As a browser does, it asks once more when the connection ends before the
    /// answer (RFC 9110, 9.2.2): a server that has refused a form unread closes a connection that is about to be used again.
    ///
    /// # Errors
    /// The hub does not answer.
    pub fn answer(&self, page: &str, headers: &[(&str, &str)]) -> Result<(u16, Vec<u8>), String> {
        let first = self.answer_once(page, headers);
        first.or_else(|_| self.answer_once(page, headers))
    }

    fn answer_once(&self, page: &str, headers: &[(&str, &str)]) -> Result<(u16, Vec<u8>), String> {
        let mut asked = self
            .agent
            .get(format!("{}/{page}", self.base))
            .header("Cookie", &self.cookie);
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let mut said = asked.call().map_err(|error| format!("/{page}: {error}"))?;
        let bytes = said.body_mut().with_config().limit(u64::MAX).read_to_vec();
        let bytes = bytes.map_err(|error| format!("/{page}: {error}"))?;
        Ok((said.status().as_u16(), bytes))
    }

    /// Sends a form; answers the page, or the place that it leads to.
    ///
    /// # Errors
    /// The hub does not answer, or refuses: its status and its sentence.
    pub fn post(&self, page: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let sent = self
            .agent
            .post(format!("{}/{page}", self.base))
            .header("Cookie", &self.cookie)
            .header("Origin", &self.base)
            .header("X-Form-Token", &self.token)
            .send_form(fields.iter().copied());
        let mut said = sent.map_err(|error| format!("/{page}: {error}"))?;
        let status = said.status().as_u16();
        let place = said.headers().get("location");
        let place = place
            .and_then(|place| place.to_str().ok())
            .map(str::to_owned);
        let text = said.body_mut().read_to_string().unwrap_or_default();
        match status {
            200..400 => Ok(place.unwrap_or(text)),
            status => Err(format!("/{page}: {status}: {}", sentence(&text))),
        }
    }
}

/// What stands between two texts.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// The words of a page of one sentence.
fn sentence(page: &str) -> &str {
    between(page, "<p>", "</p>").unwrap_or(page)
}
