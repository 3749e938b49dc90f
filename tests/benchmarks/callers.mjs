// One Node process that records for many callers, over one pool with a connection for each of them. A request is a
// line of JSON on stdin: {way, callers, subjects, seconds}; the answer is one on stdout: {rate, latencies}.
//
// ours             SELECT ... FROM meter.record(...), one query of the pool
// four_statements  a client of the pool: BEGIN, INSERT of the event, UPSERT of the total, COMMIT
//
// Every statement with parameters has a name, so pg prepares it once for each connection.
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import pg from 'pg';

const [dsn, size] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: dsn, max: Number(size), idleTimeoutMillis: 0 });
const METRIC = 'tokens';
const RECORD = {
    name: 'record',
    text: 'SELECT outcome, quantity FROM meter.record($1, $2, $3, idempotency_key => $4)',
};
const INSERT = {
    name: 'insert',
    text: `INSERT INTO home_made.events (subject, metric, quantity, idempotency_key) VALUES ($1, $2, $3, $4)
        ON CONFLICT (subject, metric, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
};
const UPSERT = {
    name: 'upsert',
    text: `INSERT INTO home_made.totals AS t (subject, metric, month, quantity, event_count)
        VALUES ($1, $2, date_trunc('month', now(), 'UTC'), $3, 1)
        ON CONFLICT (subject, metric, month)
        DO UPDATE SET quantity = t.quantity + excluded.quantity, event_count = t.event_count + 1 RETURNING quantity`,
};

const prefix = `req_${randomBytes(8).toString('hex')}_`;
let calls = 0;

const ways = {
    async ours(subject, key) {
        return (await pool.query({ ...RECORD, values: [subject, METRIC, 3, key] })).rows[0];
    },
    async four_statements(subject, key) {
        const client = await pool.connect();
        try {
            await client.query('BEGIN');
            const inserted = await client.query({ ...INSERT, values: [subject, METRIC, 3, key] });
            if (inserted.rowCount === 0) {
                await client.query('ROLLBACK');
                return undefined;
            }
            const total = await client.query({ ...UPSERT, values: [subject, METRIC, 3] });
            await client.query('COMMIT');
            return total.rows[0];
        } catch (error) {
            await client.query('ROLLBACK');
            throw error;
        } finally {
            client.release();
        }
    },
};

async function caller(record, subjects, end, latencies) {
    while (performance.now() < end) {
        const key = prefix + String(++calls).padStart(8, '0');
        const begin = performance.now();
        await record(`acct_${Math.floor(Math.random() * subjects)}`, key);
        latencies.push((performance.now() - begin) / 1000);
    }
}

async function load({ way, callers, subjects, seconds }) {
    const latencies = [];
    const begin = performance.now();
    const end = begin + seconds * 1000;
    await Promise.all(Array.from({ length: callers }, () => caller(ways[way], subjects, end, latencies)));
    return { rate: latencies.length / ((performance.now() - begin) / 1000), latencies };
}

for await (const line of createInterface({ input: process.stdin })) {
    const work = JSON.parse(line);
    await load({ ...work, seconds: work.warm_up }); // connected, prepared, compiled
    console.log(JSON.stringify(await load(work)));
}
await pool.end();
