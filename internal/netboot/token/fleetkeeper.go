package token

import (
	"context"

	"slipway/internal/fleet"
)

// table is where the tokens' records stand in a fleet.Store.
const table = "tokens"

// InStore keeps tokens in the fleet's store.
func InStore(s fleet.Store) Keeper { return inStore{s} }

type inStore struct{ s fleet.Store }

func (k inStore) Put(ctx context.Context, key string, value []byte) error {
	_, err := k.s.Write(ctx, fleet.Write{Table: table, Key: key, Value: value, Rev: fleet.Any})
	return err
}

func (k inStore) Delete(ctx context.Context, key string) error {
	_, err := k.s.Write(ctx, fleet.Write{Table: table, Key: key, Rev: fleet.Any})
	return err
}

func (k inStore) Each(ctx context.Context, do func(string, []byte) error) error {
	for r, err := range k.s.List(ctx, table) {
		if err != nil {
			return err
		}
		if err := do(r.Key, r.Value); err != nil {
			return err
		}
	}
	return nil
}
