"""The provider: wire format, errors, client and sandbox. Imports no other package of ours."""
