"""Single sign-on by OpenID Connect: the provider's endpoints and keys, and its ID tokens."""
