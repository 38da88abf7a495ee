import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { companyOf, firstNameOf, type Place, phoneOf } from "../contender.ts";

/** Each so many rows somebody comes again, who was in the file before. */
const AGAIN_EVERY = 50;

const isAgain = (row: number) => row % AGAIN_EVERY === 0;
export const peopleAmong = (rows: number): number => rows - Math.floor(rows / AGAIN_EVERY);
export const csvPath = ({ dir, n }: Place): string => join(dir, `people-${n}.csv`);

function* rowsOf(rows: number): Generator<string> {
  let text = "phone,first_name,last_name,company,city\n";
  for (let row = 1; row <= rows; row++) {
    const person = isAgain(row) ? row - AGAIN_EVERY / 2 : row;
    text += `${phoneOf(person)},${firstNameOf(row)},Müller-${row % 977},${companyOf(row)},Pune\n`;
    if (text.length < 65_536) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** A clean file of five columns that COPY can read as it is: an easier one than people upload. */
export const writeCsv = (place: Place): Promise<void> => pipeline(Readable.from(rowsOf(place.n)), createWriteStream(csvPath(place)));
