// What a customer may look up.
import type { Route } from "./http.ts";
export const createReadRoutes = (_: unknown): Route[] => [];
