package logs

import (
	"io"
	"net/http"
	"net/netip"
)

// maxPost bounds what is read of one request.
const maxPost = 256 << 10

// ServeHTTP takes posted lines, as an installer's hook sends them.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodPost && q.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "post the lines of a log here", http.StatusMethodNotAllowed)
		return
	}
	raw, err := io.ReadAll(io.LimitReader(q.Body, maxPost+1))
	if err != nil {
		http.Error(w, "the log broke off", http.StatusBadRequest)
		return
	}
	if len(raw) > maxPost {
		http.Error(w, "send at most 256 KiB at once", http.StatusRequestEntityTooLarge)
		return
	}
	from, _ := netip.ParseAddrPort(q.RemoteAddr)
	r.Take(from.Addr().Unmap(), raw)
	w.WriteHeader(http.StatusNoContent)
}
