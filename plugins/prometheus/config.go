package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Config is the plugin block: where the server is and as whom it is asked.
type Config struct {
	Address     string            `hcl:"address,optional" doc:"URL of the server, such as https://prometheus.example.com; a metric may name another one"`
	BearerToken string            `hcl:"bearer_token,optional" sensitive:"true" doc:"token for the header Authorization"`
	BasicAuth   *BasicAuth        `hcl:"basic_auth,block"`
	Headers     map[string]string `hcl:"headers,optional" sensitive:"true" doc:"further request headers, such as X-Scope-OrgID for a tenant"`
	CA          string            `hcl:"ca,optional" doc:"certificates in PEM form that are trusted in place of the system's, such as file(\"ca.pem\")"`
	Timeout     time.Duration     `hcl:"timeout,optional" doc:"limit for one request"`

	servers *servers
}

// BasicAuth is a name and a password.
type BasicAuth struct {
	Username string `hcl:"username" doc:"name of the user"`
	Password string `hcl:"password" sensitive:"true" doc:"password of the user"`
}

func newConfig(s *servers) *Config { return &Config{Timeout: 10 * time.Second, servers: s} }

// Validate asks nobody.
func (c *Config) Validate() error {
	var all []error
	if c.Address != "" {
		all = append(all, checkAddress(c.Address))
	}
	if c.BearerToken != "" && c.BasicAuth != nil {
		all = append(all, diag.AtAttr("bearer_token", "Two ways to log in", errors.New("bearer_token and basic_auth both set the header Authorization; use one of them")))
	}
	if c.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CA)) {
		all = append(all, diag.AtAttr("ca", "Invalid certificates", errors.New("there is no certificate in PEM form; the attribute takes the text, so use file(\"…\") for a file")))
	}
	for name := range c.Headers {
		if !validHeader(name) {
			all = append(all, diag.AtPath(value.Names("headers", name), "Invalid header", fmt.Errorf("%q cannot be the name of a header", name)))
		}
	}
	if c.Timeout <= 0 {
		all = append(all, diag.AtAttr("timeout", "Invalid timeout", errors.New("the timeout must be above zero")))
	}
	return errors.Join(all...)
}

// Configure makes the settings those of all metrics of this process.
func (c *Config) Configure() error {
	c.servers.use(c)
	return nil
}

// Check asks the server which one it is.
func (c *Config) Check(ctx context.Context) (identity string, err error) {
	if c.Address == "" {
		return "", diag.WarnAtAttr("address", "No address", "The plugin block names no server, so each metric must.")
	}
	who := "nobody in particular"
	switch {
	case c.BasicAuth != nil:
		who = c.BasicAuth.Username
	case c.BearerToken != "":
		who = "the bearer of the token"
	}
	s, err := c.servers.at("")
	if err != nil {
		return "", err
	}
	version, err := s.version(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s at %s, Prometheus %s", who, c.Address, version), nil
}

func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		err = errors.New("a URL with http or https is needed, such as https://prometheus.example.com")
	case u.User != nil:
		err = errors.New("a name and a password do not belong into the address, which is shown in messages; use the block basic_auth of the plugin")
	case u.RawQuery != "" || u.Fragment != "":
		err = errors.New("an address ends with its path: it has no ? and no #")
	default:
		return nil
	}
	return diag.AtAttr("address", "Invalid address", err)
}

func validHeader(name string) bool {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || r == ':' {
			return false
		}
	}
	return name != ""
}

var (
	_ sdk.Validator = (*Config)(nil)
	_ sdk.Checker   = (*Config)(nil)
)
