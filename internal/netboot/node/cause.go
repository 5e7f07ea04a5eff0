package node

import (
	"errors"

	"slipway/internal/fleet"
)

// caused is an error whose cause is one of the fleet's table: the server need
// not guess it from the words.
type caused struct {
	cause string
	error
}

func (c *caused) Unwrap() error { return c.error }

func because(cause string, err error) error { return &caused{cause, err} }

// causeOf are the fields of a report of that error.
func causeOf(err error) map[string]string {
	if c := (*caused)(nil); errors.As(err, &c) {
		return map[string]string{fleet.FieldCause: c.cause}
	}
	return nil
}
