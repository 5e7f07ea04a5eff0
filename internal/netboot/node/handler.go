package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"slipway/internal/fleet"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// Client is the machine that a token belongs to.
type Client struct {
	Machine string // name; empty: unknown
	MAC     string
	Address string
	Only    string // what the token is for alone, see token.Claim

	token string
}

// Errors with which Handler.Client refuses a token.
var (
	ErrToken    = errors.New("the token is not valid for this client")
	errTellOnly = errors.New("this token is for telling, and fetches nothing")
)

// ClientOf is a Handler's Client below our HTTP server, which has checked the
// token already.
func ClientOf(r *http.Request, _ string) (Client, error) {
	c := boothttp.CallOf(r)
	if c.Token == "" {
		return Client{}, ErrToken
	}
	return Client{Machine: c.Claim.Machine, MAC: c.Claim.Client, Address: c.From.String(), Only: c.Claim.Only}, nil
}

// Handler answers what machines ask and tell below /n/TOKEN/:
//
//	POST order      a Question; the answer is a signed Order
//	POST report     a Report
//	POST proof      what a system that runs has to prove; the answer is a signed Proof
//	POST log        lines of text, as they come
//	GET  a/...      the files that orders name, if there is a Shelf
type Handler struct {
	Key ed25519.PrivateKey
	// Client finds whose a token is, or refuses it: 403.
	Client func(r *http.Request, token string) (Client, error)
	// Offer is what there is for a machine. For an unknown one it may be an
	// offer of DoInventory.
	Offer   func(ctx context.Context, c Client, q *Question) (*Offer, error)
	Records Records
	Sink    fleet.Sink
	Now     func() time.Time // default time.Now
	Shelf   *Shelf           // served below a/; nil: orders name files elsewhere
	// Spend takes the right to fetch a file that holds secrets: once for each
	// token. nil: nothing of this server does.
	Spend func(r *http.Request, token, what string) (*token.Receipt, error)
	// Proof is what a version has to prove; nil: nobody wants a proof.
	Proof func(ctx context.Context, c Client, version string) (*Proof, error)
	// Inventory is told what each machine is made of; it may be nil.
	Inventory func(ctx context.Context, c Client, h *Hardware) error

	secrets secrets
}

// maxBody bounds what a machine sends at once, in bytes.
const maxBody = 1 << 20

// ServeHTTP implements http.Handler for paths /n/TOKEN/WHAT.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/n/")
	word, what, _ := strings.Cut(rest, "/")
	if !ok || word == "" {
		http.NotFound(w, r)
		return
	}
	c, err := h.Client(r, word)
	c.token = word
	if err != nil {
		h.record(c, fleet.Event{Kind: fleet.KindHTTPRefused, Problem: err.Error(), Fields: map[string]string{"path": what}})
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if c.Only == token.OnlyTell && what != "proof" && what != "report" && what != "log" {
		h.record(c, fleet.Event{Kind: fleet.KindHTTPRefused, Problem: errTellOnly.Error(), Fields: map[string]string{"path": what}})
		http.Error(w, errTellOnly.Error(), http.StatusForbidden)
		return
	}
	if file, ok := strings.CutPrefix(what, "a/"); ok && h.Shelf != nil {
		if err := h.file(w, r, c, file); err != nil {
			h.record(c, fleet.Event{Kind: fleet.KindHTTPRefused, Problem: err.Error(), Fields: map[string]string{"path": what}})
			http.Error(w, err.Error(), http.StatusForbidden)
		}
		return
	}
	if r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	serve := map[string]func(context.Context, http.ResponseWriter, Client, []byte) error{
		"order": h.order, "report": h.report, "log": h.log,
	}[what]
	if what == "proof" && h.Proof != nil && c.Machine != "" {
		serve = h.proof
	}
	if serve == nil {
		http.NotFound(w, r)
		return
	}
	if err := serve(r.Context(), w, c, body); err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, errBody) {
			status = http.StatusBadRequest
		}
		h.record(c, problem(err))
		http.Error(w, err.Error(), status)
	}
}

func problem(err error) fleet.Event {
	return fleet.Event{Kind: fleet.KindNodeProblem, Problem: err.Error()}
}

// hide gives the files of an order to the machine alone that asked.
func (h *Handler) hide(c Client, o *Order) error {
	for _, a := range []*Artefact{o.Image, o.Kernel, o.Initrd} {
		if a == nil {
			continue
		}
		pieces, err := h.Shelf.pieces(a)
		if err != nil || h.Spend == nil {
			return errors.Join(err, errors.New("this server cannot give secrets out: its tokens are not its own"))
		}
		h.secrets.tell(c.token, shelfName(a), pieces, c.Only == token.OnlyStick)
	}
	return nil
}

// errBody is a request that is not understood.
var errBody = errors.New("the request is not understood")

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Handler) record(c Client, e fleet.Event) {
	e.Time, e.Machine, e.Client, e.Address = h.now(), c.Machine, c.MAC, c.Address
	h.Sink.Record(e)
}

// order decides, and the decision is kept before the machine hears of it.
func (h *Handler) order(ctx context.Context, w http.ResponseWriter, c Client, body []byte) error {
	q := new(Question)
	if err := json.Unmarshal(body, q); err != nil || q.Nonce == "" || q.Hardware == nil {
		return fmt.Errorf("%w: a question has a nonce and hardware", errBody)
	}
	offer, err := h.Offer(ctx, c, q)
	if err != nil {
		return err
	}
	var order *Order
	if offer.Machine == "" {
		order = &Order{Do: offer.Mode, Nonce: q.Nonce, Issued: h.now().UTC(), SSHKeys: offer.SSHKeys, Retry: offer.Retry}
	} else {
		err = h.Records.Update(ctx, offer.Machine, func(r *Record) (err error) {
			order, err = r.Answer(offer, q, c.MAC, h.now())
			return err
		})
		if err != nil {
			return err
		}
	}
	order.Prove = h.Proof != nil && order.Do == DoRAM
	if err := order.complete(offer); err != nil {
		return err
	}
	if order.secret {
		if err := h.hide(c, order); err != nil {
			return err
		}
	}
	if h.Inventory != nil {
		if err := h.Inventory(ctx, c, q.Hardware); err != nil {
			return err
		}
	}
	data, err := Sign(h.Key, order)
	if err != nil {
		return err
	}
	h.record(c, fleet.Event{Kind: fleet.KindNodeInventory, Text: q.Hardware.String()})
	h.record(c, fleet.Event{Kind: fleet.KindNodeInit, Stage: fleet.StageInit, Text: strings.TrimSpace(order.Do + ": " + order.Why), Problem: q.Tried,
		Fields: map[string]string{"do": order.Do, fleet.FieldVersion: order.Version, fleet.FieldMemory: fmt.Sprint(q.Hardware.Memory)}})
	h.fellBack(c, order.choice)
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(data)
	return err
}

// report takes what a machine says. Evidence is kept before it is confirmed:
// a machine whose report was not confirmed tells it again.
func (h *Handler) report(ctx context.Context, w http.ResponseWriter, c Client, body []byte) error {
	r := new(Report)
	if err := json.Unmarshal(body, r); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if c.Machine != "" && (r.Installed != nil || r.Proven != "") {
		err := h.Records.Update(ctx, c.Machine, func(rec *Record) error {
			if r.Installed != nil {
				rec.use(r.Installed, "the installer's report", h.now())
			}
			if r.Proven != "" {
				return r.proven(rec)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if r.Proven == "" && r.Stage == fleet.StageProven {
		r.Stage = "" // only a version is proven
	}
	if r.Probe != "" {
		r.Fields = map[string]string{fleet.FieldProbe: r.Probe}
	}
	h.record(c, fleet.Event{Kind: r.kind(), Stage: r.Stage, Text: r.Text, Problem: r.Problem, Bytes: r.Bytes, Total: r.Total, Fields: r.Fields})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// kind is the event that a report is.
func (r *Report) kind() string {
	install := r.Stage == fleet.StageInstall
	switch {
	case r.Installed != nil:
		return fleet.KindInstallDone
	case r.Proven != "":
		return fleet.KindProven
	case r.Probe != "" && r.Problem != "":
		return fleet.KindProbeFail
	case r.Probe != "":
		return fleet.KindProbeOK
	case r.Problem != "" && install:
		return fleet.KindInstallFail
	case r.Problem != "":
		return fleet.KindNodeProblem
	case install && r.Bytes == 0 && r.Total > 0:
		return fleet.KindInstallBegin
	case r.Total > 0:
		return fleet.KindNodeProgress
	case r.Stage == fleet.StageNetwork:
		return fleet.KindNodeNetwork
	}
	return fleet.KindNodeReport
}

// log passes lines of the machine's console on.
func (h *Handler) log(_ context.Context, w http.ResponseWriter, c Client, body []byte) error {
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			h.record(c, fleet.Event{Kind: fleet.KindNodeLog, Text: line[:min(len(line), 1000)]})
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
