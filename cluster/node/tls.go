package node

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"

	"weir/cluster/certificate"
	"weir/cluster/conf"
	"weir/cluster/gateway"
	"weir/protocols"
	"weir/protocols/api"
)

// certificates are the certificates of a node.
type certificates struct {
	*certificate.Store
	acme *certificate.ACME
}

// newCertificates puts the certificates of a file into use.
func newCertificates(f *conf.File, roots *x509.CertPool, log *slog.Logger) (*certificates, error) {
	c := &certificates{acme: certificate.NewACME(certificate.ACMEConfig{
		Directory: f.ACME.Directory, Email: f.ACME.Email, Store: f.ACME.Store, Roots: roots, Log: log,
	})}
	c.Store = certificate.New(c.acme, log)
	return c, c.configure(f)
}

// configure puts the certificates of another file into use.
func (c *certificates) configure(f *conf.File) error {
	if err := c.Use(certificateFiles(f)); err != nil {
		return err
	}
	c.acme.Use(f.ACME.Names)
	return nil
}

func certificateFiles(f *conf.File) (list []certificate.Files) {
	for _, c := range f.Certificates {
		list = append(list, certificate.Files{Certificate: c.File, Key: c.Key})
	}
	return list
}

// checkCertificates says what of the certificates and authorities of a file cannot be used.
func checkCertificates(f *conf.File) (problems conf.Problems) {
	refuse := func(at conf.Pos, err error) {
		if err != nil {
			problems = append(problems, conf.Problem{Pos: at, Severity: conf.Error, Text: err.Error()})
		}
	}
	for i, is := range certificateFiles(f) {
		refuse(f.Certificates[i].Pos, certificate.Check(is))
	}
	_, err := certificate.Authorities(f.TrustedCA...)
	refuse(f.Places["trusted_ca"], err)
	return problems
}

// config is how listeners of a protocol speak TLS; nil for one that does not.
func (c *certificates) config(d protocols.Descriptor) *tls.Config {
	switch {
	case d.Plain == "":
		return nil
	case d.Spoken() == protocols.HTTP:
		return c.Config("h2", "http/1.1", certificate.ChallengeProtocol)
	default:
		return c.Config()
	}
}

// challenges are the requests by which an authority checks names.
func (c *certificates) challenges() gateway.Path {
	return gateway.Path{Path: certificate.ChallengePath, Handler: c.acme.Challenges()}
}

// certificateAlarms are what an operator should mend of the certificates.
func (n *Node) certificateAlarms() (list []api.Alarm) {
	for _, p := range n.certificates.Problems(n.cfg.Machine.Wall()) {
		list = append(list, api.Alarm{Kind: "certificate", Node: n.group.name(), Since: int64(p.For.Seconds()), Text: p.Text})
	}
	return list
}
