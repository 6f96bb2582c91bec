//! The arguments that name a broker and a login, as the link takes them.

use booth_host::link::asked::Asked;

use crate::arguments::LoginArguments;

pub(super) fn asked(arguments: LoginArguments) -> Asked {
    Asked {
        url: arguments.url,
        user: arguments.user,
        password_file: arguments.password_file,
        client_id: arguments.client_id,
        ca_file: arguments.ca_file,
        identity: arguments.cert_file.zip(arguments.key_file),
    }
}
